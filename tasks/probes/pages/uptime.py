"""How a probe fared: bars of segments, shares of time, small curves. Reads roll-ups only.

Three queries for any number of probes; their cost follows the number of probes shown and
not how often those ran.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.probes.rollups.sums import DAY, HOUR, MINUTE, STEPS
from tasks.probes.series.models import RollUp

BAR_HOURS = 24
CURVE_MINUTES = 60
LONG_DAYS = 30
COUNTED = ("up", "degraded", "down", "error", "missed", "maintenance")


@dataclass(slots=True)
class Tally:
    """What some runs came to; `latency_us` sums the durations of `timed` runs."""

    up: int = 0
    degraded: int = 0
    down: int = 0
    error: int = 0
    missed: int = 0
    maintenance: int = 0
    latency_us: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Count one roll-up in."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + row[name])
        self.latency_us += row["latency_sum_us"]

    @property
    def judged(self) -> int:
        """Return how many runs say something about the target."""
        return self.up + self.degraded + self.down

    @property
    def availability(self) -> float | None:
        """Return the share of good runs in percent, None when nothing was judged."""
        return 100.0 * (self.up + self.degraded) / self.judged if self.judged else None

    @property
    def coverage(self) -> float | None:
        """Return the share of due runs that were executed, in percent."""
        due = self.judged + self.error + self.missed + self.maintenance
        return 100.0 * (due - self.missed) / due if due else None

    @property
    def mean_ms(self) -> float | None:
        """Return the mean duration of good runs in milliseconds."""
        good = self.up + self.degraded
        return self.latency_us / good / 1000 if good else None

    @property
    def tone(self) -> str:
        """Return the colour of a segment: bad as soon as something failed."""
        if self.down:
            return "failed"
        if self.degraded:
            return "waiting"
        if self.up:
            return "done"
        return "running" if self.maintenance else "quiet"


@dataclass(slots=True)
class Uptime:
    """One probe over an hour, a day, a week and a month."""

    hours: list[Tally] = field(default_factory=lambda: [Tally() for _ in range(BAR_HOURS)])
    curve: list[float] = field(default_factory=list)
    day: Tally = field(default_factory=Tally)
    week: Tally = field(default_factory=Tally)
    month: Tally = field(default_factory=Tally)


def uptimes(probe_ids: Iterable[int], now: float) -> dict[int, Uptime]:
    """Return how these probes fared; now is seconds since the epoch."""
    ids = list(probe_ids)
    found: dict[int, Uptime] = {probe_id: Uptime() for probe_id in ids}
    _read_hours(ids, found, now)
    _read_days(ids, found, now)
    _read_minutes(ids, found, now)
    return found


def _read_hours(ids: Sequence[int], found: dict[int, Uptime], now: float) -> None:
    """Fill the segments of the last 24 hours, the running one last."""
    step = STEPS[HOUR]
    first = int(now // step - BAR_HOURS + 1) * step
    for row in _rows(ids, HOUR, first):
        uptime = found[row["probe_id"]]
        place = (row["start"] - first) // step
        if place < BAR_HOURS:
            uptime.hours[place].add(row)
        uptime.day.add(row)


def _read_days(ids: Sequence[int], found: dict[int, Uptime], now: float) -> None:
    """Fill the sums of 7 and 30 days, today included."""
    step = STEPS[DAY]
    first = int(now // step - LONG_DAYS + 1) * step
    week_first = int(now // step - 6) * step
    for row in _rows(ids, DAY, first):
        uptime = found[row["probe_id"]]
        uptime.month.add(row)
        if row["start"] >= week_first:
            uptime.week.add(row)


def _read_minutes(ids: Sequence[int], found: dict[int, Uptime], now: float) -> None:
    """Fill the curve of mean durations over the last hour."""
    minutes: dict[int, dict[int, Tally]] = defaultdict(lambda: defaultdict(Tally))
    for row in _rows(ids, MINUTE, int(now // 60 - CURVE_MINUTES) * 60):
        minutes[row["probe_id"]][row["start"]].add(row)
    for probe_id, tallies in minutes.items():
        means = (tallies[start].mean_ms for start in sorted(tallies))
        found[probe_id].curve = [mean for mean in means if mean is not None]


def _rows(ids: Sequence[int], level: int, since: int) -> list[dict[str, Any]]:
    """Return the roll-ups of a level since a moment."""
    rows = RollUp.objects.filter(probe_id__in=ids, level=level, start__gte=since)
    return list(rows.values("probe_id", "start", "latency_sum_us", *COUNTED))
