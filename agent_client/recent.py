"""The newest figures of one kind, and what most of them do not exceed: bounded, no clock."""

from __future__ import annotations

from collections import deque


class Recent:
    """Keeps the last so many figures; for one thread."""

    def __init__(self, kept: int) -> None:
        """Begin without figures; an older one makes room for the newest."""
        self._figures: deque[float] = deque(maxlen=kept)

    def __len__(self) -> int:
        """Return how many figures are kept."""
        return len(self._figures)

    def add(self, figure: float) -> None:
        """Keep one figure more."""
        self._figures.append(figure)

    def percentile(self, share: float) -> float:
        """Return what so large a share (0 to 1) of the figures does not exceed, 0 without any."""
        ordered = sorted(self._figures)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
