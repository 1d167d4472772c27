"""How long each host has been silent, by a clock that nobody can set; pure.

The wall clock may be set by hours and years, forth and back, so it never decides alone:
silence is what this process watched on the monotonic clock. Only what was before the watch
began is taken from stored stamps, and then hosts get a grace to come back first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

LONGEST_GAP_SECONDS = 300.0
"""After a pause between two rounds longer than this (the process was stopped, or another
one did the work) the watch begins anew."""


@dataclass(slots=True)
class _Silence:
    """One silent host: since when it is watched, and how long it was silent before."""

    stamp: datetime
    since: float
    before_seconds: float


class SilenceWatch:
    """Watches which hosts are silent, round by round; as large as the set of them."""

    def __init__(self) -> None:
        """Start without having looked."""
        self._began: float | None = None
        self._looked = float("-inf")
        self._silent: dict[str, _Silence] = {}

    def look(self, stamps: Mapping[str, datetime], *, now: datetime, tick: float) -> None:
        """Take the last beats of all hosts that are silent; now is the clock that dated them.

        tick is monotonic seconds. A host that is left out has spoken.
        """
        is_first = tick - self._looked > LONGEST_GAP_SECONDS
        if is_first:
            self._began, self._silent = tick, {}
        # Who was not silent at the round before cannot have been so for longer than since then.
        longest_before = float("inf") if is_first else tick - self._looked
        self._looked = tick
        self._silent = {
            name: self._update(name, stamp, (now - stamp).total_seconds(), longest_before)
            for name, stamp in stamps.items()
        }

    def _update(
        self, name: str, stamp: datetime, wall_seconds: float, longest_before: float
    ) -> _Silence:
        """Return what is known of a silent host now."""
        known = self._silent.get(name)
        if known is None or known.stamp != stamp:
            before = min(max(0.0, wall_seconds), longest_before)
            return _Silence(stamp, self._looked, before)
        # A clock that was wrong when the watch began, and has been put right, counts less.
        watched = self._looked - known.since
        known.before_seconds = min(known.before_seconds, max(0.0, wall_seconds - watched))
        return known

    def silent_seconds(self, name: str, *, grace_seconds: float) -> float:
        """Return how long a host has been silent; 0 within the grace after the first look."""
        known = self._silent.get(name)
        if known is None or self._began is None or self._looked - self._began < grace_seconds:
            return 0.0
        return known.before_seconds + self._looked - known.since
