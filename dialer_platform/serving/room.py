"""Whether a connection takes more bytes; who sends waits here while it does not.

The library writes whatever it is given into memory. Here the sender waits once the
system's buffers are full, and a reader that takes nothing at all for long is cut off: it
costs what was being sent to it and delays nobody else.
"""

from __future__ import annotations

import asyncio
from typing import Any

from dialer_platform.serving import limits


class Room:
    """What one transport says of its buffer, as its push producer; used on the loop only."""

    def __init__(self, transport: Any) -> None:
        """Begin with room; the transport is told by whoever registers this with it."""
        self._transport = transport
        self._is_full = False
        self._senders: list[asyncio.Future[None]] = []

    def pauseProducing(self) -> None:
        """Have senders wait: the buffer is full."""
        self._is_full = True

    def resumeProducing(self) -> None:
        """Let senders go on: what was sent has left."""
        self._is_full = False
        self._wake()

    def stopProducing(self) -> None:
        """Let senders go on: the connection is gone, and nothing is kept for it."""
        self.resumeProducing()

    async def wait(self) -> None:
        """Return when more may be sent; aborts a connection whose reader takes nothing."""
        while self._is_full:
            room = asyncio.get_running_loop().create_future()
            self._senders.append(room)
            unsent = unsent_bytes(self._transport)
            done, _ = await asyncio.wait([room], timeout=limits.STUCK_READER_SECONDS)
            if not done and unsent_bytes(self._transport) >= unsent:
                self._transport.abortConnection()
                return

    def _wake(self) -> None:
        """Tell all that wait."""
        senders, self._senders = self._senders, []
        for room in senders:
            if not room.done():
                room.set_result(None)


def unsent_bytes(transport: Any) -> int:
    """Return how many bytes wait in this process for the reader; with TLS below it."""
    plain = getattr(transport, "transport", transport)
    buffered = len(getattr(plain, "dataBuffer", b"")) - getattr(plain, "offset", 0)
    return buffered + int(getattr(plain, "_tempDataLen", 0))
