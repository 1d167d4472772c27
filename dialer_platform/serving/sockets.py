# mypy: disable-error-code="misc,no-untyped-call,override,has-type"
"""WebSockets as this server speaks them: bounded by what the other side reads and sends.

The size limit counts for what is received only: the library applies it both ways and
raises while sending, but an offer carries a script of up to 1 MiB, which is longer as
JSON. Who sends waits while the other side does not read, and nothing is read from who
sends more than the application takes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from daphne.ws_protocol import WebSocketFactory, WebSocketProtocol

from dialer_platform.serving import limits
from dialer_platform.serving.room import Room

LOOK_SECONDS = 0.05
"""How often a socket that is not read looks whether the application has caught up."""


class LimitedSocket(WebSocketProtocol):
    """A socket that refuses long messages and can send them."""

    room: Room | None = None
    _is_reading = True

    def makeConnection(self, transport: Any) -> None:
        """Hear from the transport when its buffer is full, in place of the HTTP channel."""
        self.room = Room(transport)
        transport.unregisterProducer()
        transport.registerProducer(self.room, True)
        super().makeConnection(transport)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Hand a message to the application; read no more while too many wait for it."""
        super().onMessage(payload, isBinary)
        if self._is_reading and self.application_queue.qsize() >= limits.MAX_WAITING_MESSAGES:
            self._is_reading = False
            self.transport.pauseProducing()
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._read_on)

    def _read_on(self) -> None:
        """Read again once the application has taken most of what waited."""
        if self.application_queue.qsize() > limits.MAX_WAITING_MESSAGES // 2:
            if self.state != self.STATE_CLOSED:
                asyncio.get_running_loop().call_later(LOOK_SECONDS, self._read_on)
            return
        self._is_reading = True
        self.transport.resumeProducing()

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
