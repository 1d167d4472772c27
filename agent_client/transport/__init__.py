"""How messages travel: WebSocket, or HTTP polling where nothing else gets through.

Owns sockets, addresses and the pauses between tries. Never knows what a message means.
"""
