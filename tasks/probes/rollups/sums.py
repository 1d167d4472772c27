"""What runs came to in a span: counts per outcome and the durations of those that answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import NamedTuple

from tasks.probes.choices import OUTCOME_NAMES
from tasks.probes.rollups import sketch

MINUTE, HOUR, DAY = 0, 1, 2
STEPS: dict[int, int] = {MINUTE: 60, HOUR: 3_600, DAY: 86_400}
"""Level -> seconds of one span; every step divides the next one."""
COUNTS = ("up", "degraded", "down", "error", "missed", "maintenance")
US = 1_000_000


class Key(NamedTuple):
    """One span of one probe at one location; start in seconds since the epoch."""

    level: int
    probe_id: int
    agent_id: str
    start: int


@dataclass(slots=True)
class Sums:
    """What is known of a span; latencies in microseconds, of up and degraded runs only.

    A run that failed says nothing about how fast the target answers.
    """

    up: int = 0
    degraded: int = 0
    down: int = 0
    error: int = 0
    missed: int = 0
    maintenance: int = 0
    latency_sum_us: int = 0
    latency_min_us: int | None = None
    latency_max_us: int | None = None
    buckets: sketch.Sketch = field(default_factory=dict)

    def count(self, outcome: str, duration_us: int, count: int) -> None:
        """Add runs of one outcome; only up and degraded ones have a latency."""
        setattr(self, outcome, getattr(self, outcome) + count)
        if outcome in {"up", "degraded"}:
            self.latency_sum_us += duration_us
            self._widen(duration_us, duration_us)
            bucket = sketch.bucket_of(duration_us)
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def add(self, other: Sums) -> None:
        """Add another span."""
        for name in (*COUNTS, "latency_sum_us"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self._widen(other.latency_min_us, other.latency_max_us)
        sketch.merge(self.buckets, other.buckets)

    def _widen(self, low: int | None, high: int | None) -> None:
        """Take extremes in."""
        if low is not None and (self.latency_min_us is None or low < self.latency_min_us):
            self.latency_min_us = low
        if high is not None and (self.latency_max_us is None or high > self.latency_max_us):
            self.latency_max_us = high

    @property
    def answered(self) -> int:
        """Return how many runs the target answered."""
        return self.up + self.degraded

    @property
    def availability(self) -> float | None:
        """Return the share of judged runs that the target answered; None without any.

        Errors of the prober, missed runs and planned work are no judgement.
        """
        judged = self.answered + self.down
        return self.answered / judged if judged else None

    @property
    def coverage(self) -> float | None:
        """Return the share of due runs that were executed and judged."""
        judged = self.answered + self.down
        due = judged + self.error + self.missed
        return judged / due if due else None

    @property
    def mean_us(self) -> float | None:
        """Return the mean latency."""
        return self.latency_sum_us / self.answered if self.answered else None

    def percentile_us(self, share: float) -> float | None:
        """Return a percentile of the latency, within 2 %."""
        return sketch.percentile(self.buckets, share)


SUM_FIELDS = tuple(one.name for one in fields(Sums) if one.name != "buckets")


@dataclass(frozen=True, slots=True)
class Run:
    """What a roll-up needs of one result."""

    probe_id: int
    agent_id: str
    started_us: int
    outcome: int
    count: int
    duration_us: int
    is_maintenance: bool = False


def add_up(runs: Iterable[Run]) -> dict[Key, Sums]:
    """Return the sums of all levels that these runs add to; a span counts where it began."""
    minutes: dict[Key, Sums] = {}
    for run in runs:
        start = run.started_us // US // 60 * 60
        key = Key(MINUTE, run.probe_id, run.agent_id, start)
        sums = minutes.get(key)
        if sums is None:
            sums = minutes[key] = Sums()
        # Planned work is neither up nor down, whatever the target said meanwhile.
        outcome = "maintenance" if run.is_maintenance else OUTCOME_NAMES[run.outcome]
        sums.count(outcome, run.duration_us, run.count)
    found = dict(minutes)
    for level in (HOUR, DAY):
        found |= coarser(minutes, level)
    return found


def coarser(sums: Mapping[Key, Sums], level: int) -> dict[Key, Sums]:
    """Return the same sums at a coarser level."""
    step = STEPS[level]
    found: dict[Key, Sums] = {}
    for key, one in sums.items():
        found.setdefault(
            Key(level, key.probe_id, key.agent_id, key.start // step * step), Sums()
        ).add(one)
    return found
