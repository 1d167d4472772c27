"""Plug-ins of hosts, the server's half: what is wanted where, how it is, what was measured."""
