"""From counters that only grow to rates per second; a counter that began anew gives none.

Pure: the clock's value is an argument.
"""

from __future__ import annotations

from collections.abc import Mapping


class Rates:
    """Remembers the last look at a set of counters."""

    def __init__(self) -> None:
        """Begin without a look."""
        self._at: float | None = None
        self._counters: dict[str, float] = {}

    def between(self, counters: Mapping[str, float], now: float) -> dict[str, float]:
        """Return the growth per second since the last look, of what was there at both."""
        before, at = self._counters, self._at
        self._counters, self._at = dict(counters), now
        if at is None or now <= at:
            return {}
        return {
            name: (value - before[name]) / (now - at)
            for name, value in counters.items()
            # A smaller value: the device was replaced or the host's driver was reset.
            if name in before and value >= before[name]
        }
