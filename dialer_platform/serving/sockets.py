# mypy: disable-error-code="misc,no-untyped-call,override,has-type"
"""WebSockets as this server speaks them: the size limit counts for what is received only.

The library applies one limit both ways and raises while sending, but an offer carries a
script of up to 1 MiB, which is longer as JSON. What is sent is bounded by who sends it.
"""

from __future__ import annotations

from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol


class LimitedSocket(WebSocketProtocol):
    """A socket that refuses long messages and can send them."""

    def sendMessage(self, payload: bytes, isBinary: bool = False, **options: Any) -> None:
        """Send a message of any length."""
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, isBinary, **options)
        finally:
            self.maxMessagePayloadSize = limit


class LimitedSocketFactory(WebSocketFactory):
    """Makes limited sockets."""

    protocol = LimitedSocket
