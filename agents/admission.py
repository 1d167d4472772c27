"""How fast hosts may come back after a restart: so many handshakes a second, the rest wait.

A fleet that reconnects at once would fill the writer with hellos and make everybody wait,
also those who are in. The line is for hosts that have proven who they are, over the
socket or by polling: strangers must not be able to fill it. Who finds it too long comes
again by itself, jittered.
"""

from __future__ import annotations

import asyncio
import time

HANDSHAKES_PER_SECOND = 500.0
LONGEST_WAIT_SECONDS = 5.0
"""Below the 10 s that an agent waits for the answer to its handshake."""


class Admission:
    """Spaces arrivals evenly, with nothing to wait while there is no crowd; pure."""

    def __init__(
        self,
        *,
        per_second: float = HANDSHAKES_PER_SECOND,
        longest_wait_seconds: float = LONGEST_WAIT_SECONDS,
    ) -> None:
        """Admit so many a second."""
        self._spacing_seconds = 1 / per_second
        self._longest_wait_seconds = longest_wait_seconds
        self._next_at = float("-inf")
        self.turned_away = 0
        """Arrivals that found the line too long."""

    def arrive(self, now: float) -> float | None:
        """Return the seconds until the handshake may go on, None when it must come again."""
        start = max(now, self._next_at)
        if start - now > self._longest_wait_seconds:
            self.turned_away += 1
            return None
        self._next_at = start + self._spacing_seconds
        return start - now


admission = Admission()


async def take_turn() -> bool:
    """Wait for the turn of a host that says hello; False when the line is too long."""
    turn = admission.arrive(time.monotonic())
    if turn:
        await asyncio.sleep(turn)
    return turn is not None
