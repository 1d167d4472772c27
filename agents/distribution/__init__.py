"""How the agent reaches its hosts: its wheel, the installer, and what of both is served."""
