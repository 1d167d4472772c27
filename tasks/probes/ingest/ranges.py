"""Which numbers of a stream were seen, as a short list of ranges: pure.

A stream that is delivered in order is one range however long it gets. Gaps (results an
agent had to drop) cost a range each; beyond MAX_RANGES the oldest gap counts as seen,
because an agent drops its oldest results first and never sends those again.
"""

from __future__ import annotations

import json
from bisect import bisect_right

MAX_RANGES = 512


class Ranges:
    """A set of whole numbers, kept as sorted, separate `[first, last]` pairs."""

    def __init__(self, pairs: list[list[int]] | None = None) -> None:
        """Take over the pairs."""
        self._pairs = pairs or []

    @classmethod
    def load(cls, text: str) -> Ranges:
        """Return the ranges that dump() wrote."""
        return cls(json.loads(text))

    def dump(self) -> str:
        """Return the ranges as text."""
        return json.dumps(self._pairs, separators=(",", ":"))

    def add(self, number: int) -> bool:
        """Add a number; False when it was there already."""
        pairs = self._pairs
        if pairs and number == pairs[-1][1] + 1:  # in order: nearly always
            pairs[-1][1] = number
            return True
        place = bisect_right(pairs, number, key=lambda pair: pair[0])
        if place and number <= pairs[place - 1][1]:
            return False
        joins_left = place > 0 and pairs[place - 1][1] == number - 1
        joins_right = place < len(pairs) and pairs[place][0] == number + 1
        if joins_left and joins_right:
            pairs[place - 1][1] = pairs.pop(place)[1]
        elif joins_left:
            pairs[place - 1][1] = number
        elif joins_right:
            pairs[place][0] = number
        else:
            pairs.insert(place, [number, number])
            if len(pairs) > MAX_RANGES:
                pairs[0][1] = pairs.pop(1)[1]
        return True

    def __contains__(self, number: int) -> bool:
        """Return whether the number was added, or forgotten with the oldest gaps."""
        place = bisect_right(self._pairs, number, key=lambda pair: pair[0])
        return place > 0 and number <= self._pairs[place - 1][1]
