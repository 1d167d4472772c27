"""Figures of a span of time, and how samples and spans add up: pure.

A figure is [count, sum, lowest, highest, last]: enough for a mean, a range and the newest
value, and two of them add up exactly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

MINUTE, QUARTER = 60, 900
LEVELS = (MINUTE, QUARTER)
MAX_METRICS_PER_SPAN = 200
"""More names than one sample may have come only from a plug-in that makes them up."""


class Figure(NamedTuple):
    """What one metric came to within a span."""

    samples: int
    total: float
    low: float
    high: float
    last: float

    @property
    def mean(self) -> float:
        """Return the mean of the samples."""
        return self.total / self.samples if self.samples else 0.0


class SpanKey(NamedTuple):
    """Which span: `level` is its length, `start` its beginning, in seconds since the epoch."""

    agent_id: str
    plugin: str
    level: int
    start: int


_figures = msgspec.json.Decoder(dict[str, Figure])


@dataclass(slots=True)
class Span:
    """The figures of one span so far."""

    last_at: float = 0.0
    figures: dict[str, Figure] = field(default_factory=dict)

    def add(self, at: float, metrics: Mapping[str, float]) -> int:
        """Add one sample; returns how many metrics found no room."""
        is_newest = at >= self.last_at
        self.last_at = max(self.last_at, at)
        dropped = 0
        for name, value in metrics.items():
            known = self.figures.get(name)
            if known is None and len(self.figures) >= MAX_METRICS_PER_SPAN:
                dropped += 1
                continue
            self.figures[name] = _plus(known, Figure(1, value, value, value, value), is_newest)
        return dropped

    def absorb(self, older: Span) -> None:
        """Add what was stored of the same span before."""
        is_newest = self.last_at >= older.last_at
        for name, figure in older.figures.items():
            mine = self.figures.get(name)
            if mine is not None:
                self.figures[name] = _plus(figure, mine, is_newest)
            elif len(self.figures) < MAX_METRICS_PER_SPAN:
                self.figures[name] = figure
        self.last_at = max(self.last_at, older.last_at)


def _plus(known: Figure | None, fresh: Figure, is_newest: bool) -> Figure:
    """Return two figures as one; the last value is the fresh one's if that is newer."""
    if known is None:
        return fresh
    return Figure(
        known.samples + fresh.samples,
        known.total + fresh.total,
        min(known.low, fresh.low),
        max(known.high, fresh.high),
        fresh.last if is_newest else known.last,
    )


def base_of(metric: str) -> str:
    """Return the name of `used_bytes[/home]` without its part."""
    return metric.partition("[")[0]


def start_of(at: float, level: int) -> int:
    """Return the beginning of the span that a moment lies in."""
    return int(at // level * level)


def encode(figures: Mapping[str, Figure], *, limit_bytes: int) -> tuple[str, int]:
    """Return figures as they are stored, and how many were left out for being too long.

    Six digits are more than any chart shows.
    """
    short = {
        name: (one.samples, _short(one.total), _short(one.low), _short(one.high), _short(one.last))
        for name, one in figures.items()
    }
    text = msgspec.json.encode(short)
    if len(text) <= limit_bytes:
        return text.decode(), 0
    room = limit_bytes
    kept = {}
    for name, numbers in short.items():
        room -= len(msgspec.json.encode({name: numbers}))
        if room < 0:
            break
        kept[name] = numbers
    return msgspec.json.encode(kept).decode(), len(short) - len(kept)


def decode(text: str) -> dict[str, Figure]:
    """Return stored figures; unreadable ones count as none."""
    try:
        return _figures.decode(text)
    except (msgspec.MsgspecError, ValueError):
        return {}


def _short(value: float) -> float:
    """Return a number without the digits that nobody reads."""
    return round(value, 3) if abs(value) < 1e12 else float(f"{value:.9g}")
