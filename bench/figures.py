"""One measured row and the table of all of them, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """A figure: p50 and, where there are many values, p95; floor and goal are of p50."""

    name: str
    unit: str
    p50: float
    p95: float | None = None
    n: int = 1
    floor: float | None = None
    goal: float | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def verdict(self) -> str:
        """Return `goal`, `floor` or `below` for what is reached, nothing without a bar."""
        if self.goal is not None and self._reaches(self.goal):
            return "goal"
        if self.floor is None:
            return "" if self.goal is None else "below"
        return "floor" if self._reaches(self.floor) else "below"

    def _reaches(self, bar: float) -> bool:
        return self.p50 >= bar if self.more_is_better else self.p50 <= bar


def percentile(values: Sequence[float], share: float) -> float:
    """Return the nearest-rank percentile; share 0.5 is the median."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def row_of(name: str, unit: str, values: Sequence[float], **more: object) -> Row:
    """Return the row of many values."""
    if not values:
        raise ValueError(f"{name}: nothing was measured")
    return Row(name, unit, percentile(values, 0.5), percentile(values, 0.95), len(values), **more)  # type: ignore[arg-type]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    head = ("what", "p50", "p95", "n", "unit", "floor", "goal", "reached", "note")
    cells = [
        (
            row.name,
            _short(row.p50),
            _short(row.p95),
            str(row.n),
            row.unit,
            _short(row.floor),
            _short(row.goal),
            row.verdict,
            row.note,
        )
        for row in rows
    ]
    widths = [max(len(line[i]) for line in [head, *cells]) for i in range(len(head))]
    lines = [_line(head, widths), "|" + "|".join("-" * (width + 2) for width in widths) + "|"]
    return "\n".join([*lines, *(_line(line, widths) for line in cells)])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "| " + " | ".join(c.ljust(w) for c, w in zip(cells, widths, strict=True)) + " |"


def _short(value: float | None) -> str:
    """Return three significant digits, no exponent."""
    if value is None:
        return ""
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{digits}f}"
