"""Real server, real agent, real sockets."""
