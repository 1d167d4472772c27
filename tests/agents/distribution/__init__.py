"""The agent's wheel, what is served of it, and the installer."""
