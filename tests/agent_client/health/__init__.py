"""How the agent says how it is."""
