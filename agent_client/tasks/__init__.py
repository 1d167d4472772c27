"""The main agent's side of running tasks: directories, start, adoption, stop and clean-up.

Owns `<state>/tasks/`. What runs there is known from disk alone, so the main agent may be
killed at any moment and finds everything again.
"""
