"""How the agent says how it is: figures, their pages, and the local endpoint that serves them."""
