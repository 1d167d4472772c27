"""The wire between agent and server, written once: messages, answers and log frames.

Owns the meaning of every message. Never opens a socket, reads a clock, touches a file
or imports Django. It imports nothing here on purpose: the sub-agent, which may use the
standard library only, needs `frames` without paying for the rest.
"""
