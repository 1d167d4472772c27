"""When a stop turns from asking into killing, and when it counts as impossible.

Pure: times are arguments on the monotonic clock, nothing is signalled here.
"""

from __future__ import annotations

SWEEP_SECONDS = 0.02
SLOW_SWEEP_SECONDS = 1.0
UNKILLABLE_SECONDS = 60.0


class Stop:
    """One stop in progress: asked already, killed from `kill_at` on until nothing is left."""

    def __init__(self, *, reason: str, kill_at: float) -> None:
        self.reason = reason
        self.kill_at = kill_at
        self._first_kill: float | None = None
        self._flagged = False

    def hurry(self, moment: float) -> None:
        """Kill at that moment if it is earlier than planned; rounds of killing keep their pace."""
        if self._first_kill is None:
            self.kill_at = min(self.kill_at, moment)

    def is_due(self, now: float) -> bool:
        """Return whether it is time to kill (again)."""
        return now >= self.kill_at

    def killed(self, now: float) -> bool:
        """Plan the next round; True once, when killing has failed for UNKILLABLE_SECONDS."""
        if self._first_kill is None:
            self._first_kill = now
        hopeless = now - self._first_kill >= UNKILLABLE_SECONDS
        self.kill_at = now + (SLOW_SWEEP_SECONDS if hopeless else SWEEP_SECONDS)
        newly = hopeless and not self._flagged
        self._flagged = hopeless
        return newly
