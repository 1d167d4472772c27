"""Small pictures as SVG: bars, sparklines, priority marks, icons.

Pure: numbers in, shapes out. Widths are attributes of rects, so that no style attribute
and no script is needed; colours come from the classes of static/css.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dialer_platform.console.wording import KILO

BAR_WIDTH = 100.0
SPARK_WIDTH, SPARK_HEIGHT = 100.0, 24.0
PRIORITIES = 5
FULL_PERCENT = 100.0
NICE_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
SYMBOL = re.compile(r'<symbol id="([a-z-]+)"[^>]*>(.*?)</symbol>', re.DOTALL)


@cache
def icons() -> dict[str, str]:
    """Return the shapes of the icon file by name."""
    text = Path(__file__).with_name("icons.svg").read_text(encoding="utf-8")
    return {match[1]: match[2] for match in SYMBOL.finditer(text)}


@dataclass(frozen=True, slots=True)
class Segment:
    """One part of a bar: where it begins, how wide it is (of 100) and its tone."""

    x: float
    width: float
    tone: str


def segments(parts: Sequence[tuple[float, str]], total: float = BAR_WIDTH) -> list[Segment]:
    """Lay amounts side by side in a bar of the total; what exceeds it is cut."""
    placed: list[Segment] = []
    x = 0.0
    for amount, tone in parts:
        width = min(max(amount, 0.0) / total * BAR_WIDTH if total > 0 else 0.0, BAR_WIDTH - x)
        if width > 0:
            placed.append(Segment(round(x, 2), round(width, 2), tone))
        x += width
    return placed


def spark_points(values: Sequence[float], *, top: float | None = None) -> str:
    """Return the points of a polyline over the values, oldest first; empty below two values."""
    if len(values) < 2:
        return ""
    highest = top if top is not None else max(values)
    scale = SPARK_HEIGHT / highest if highest > 0 else 0.0
    step = SPARK_WIDTH / (len(values) - 1)
    return " ".join(
        f"{index * step:.1f},{SPARK_HEIGHT - min(max(value, 0.0) * scale, SPARK_HEIGHT):.1f}"
        for index, value in enumerate(values)
    )


def timed_points(samples: Sequence[tuple[float, float]], *, top: float) -> str:
    """Return the points of a polyline over (time, value) in order of time; empty below two."""
    if len(samples) < 2:
        return ""
    first, last = samples[0][0], samples[-1][0]
    across = SPARK_WIDTH / max(last - first, 1e-9)
    up = SPARK_HEIGHT / top if top > 0 else 0.0
    return " ".join(
        f"{(time - first) * across:.1f},"
        f"{SPARK_HEIGHT - min(max(value, 0.0) * up, SPARK_HEIGHT):.1f}"
        for time, value in samples
    )


def nice_top(highest: float, unit: float = 1.0) -> float:
    """Return the next round number of units at or above the highest value."""
    amount = highest / unit
    if amount <= 0:
        return unit
    scale = 10.0 ** math.floor(math.log10(amount))
    step = next((step for step in NICE_STEPS if step * scale >= amount), 10.0)
    return step * scale * unit


def percent_top(highest: float) -> float:
    """Return the top of a scale of percent: 100 at least."""
    return max(FULL_PERCENT, nice_top(highest))


def size_top(highest: float) -> float:
    """Return the top of a scale of bytes, round in the unit that says it."""
    unit = 1.0
    while highest / unit >= KILO:
        unit *= KILO
    return nice_top(highest, unit)


def priority_marks(priority: int) -> list[tuple[int, bool]]:
    """Return five (x, is lit) marks; priority 1, the highest, lights all."""
    lit = PRIORITIES + 1 - priority
    return [(index * 6, index < lit) for index in range(PRIORITIES)]
