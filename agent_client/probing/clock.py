"""The scheduler's clock: seconds that began as UTC, never step, and count a suspension too."""

from __future__ import annotations

import time


class SteadyClock:
    """UTC at the time of its making, then steady: a changed wall clock does not move it."""

    def __init__(self) -> None:
        """Tie the host's boot clock to UTC once."""
        # CLOCK_BOOTTIME goes on while the host sleeps; CLOCK_MONOTONIC would hide the gap.
        self._source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._offset = time.time() - time.clock_gettime(self._source)

    def __call__(self) -> float:
        """Return the seconds now."""
        return time.clock_gettime(self._source) + self._offset
