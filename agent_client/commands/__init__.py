"""The commands of `python -m agent_client`, one module each, imported only when used."""
