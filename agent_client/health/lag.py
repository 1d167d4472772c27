"""How late the agent's loop runs what is due: the one figure that shows a blocked loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agent_client.recent import Recent

EACH_SECONDS = 0.5
KEPT = 240
"""Two minutes of samples."""


class LagMeter:
    """Sleeps again and again and notes how much longer it took."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin without samples."""
        self._clock = clock
        self._samples = Recent(KEPT)

    async def run(self) -> None:
        """Measure until canceled."""
        while True:
            due = self._clock() + EACH_SECONDS
            await asyncio.sleep(EACH_SECONDS)
            self._samples.add(max(0.0, self._clock() - due))

    def percentile(self, share: float) -> float:
        """Return the lag in seconds that so large a share of the samples does not exceed."""
        return self._samples.percentile(share)
