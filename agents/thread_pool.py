"""The probe pool of a host as its card shows it: figures, demand, and the sentence of overload.

What is shown comes from the host and may be anything; wrong figures count as nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from agents.figures import number_of


@dataclass(frozen=True, slots=True)
class ThreadPoolFacts:
    """The probe pool in the user's own words; demand is in threads, late in seconds.

    `dropped` counts due runs that found the queue full, `missed` all that were not run.
    """

    running: int
    waiting: int
    maximum: int
    completed: int
    probes: int = 0
    demand: float = 0.0
    dropped: int = 0
    missed: int = 0
    late_p99_seconds: float = 0.0
    unsent: int = 0
    is_overloaded: bool = False
    is_known: bool = False
    running_ids: tuple[int, ...] = ()
    waiting_ids: tuple[int, ...] = ()

    @property
    def parts(self) -> tuple[tuple[float, str], ...]:
        """Return the bar's parts: running, then waiting."""
        return ((float(self.running), "done"), (float(self.waiting), "waiting"))

    @property
    def total(self) -> float:
        """Return what fills the bar: the maximum, or more when more wait."""
        return float(max(self.maximum, self.running + self.waiting, 1))

    @property
    def exceeds(self) -> bool:
        """Whether the probes need more threads than there are."""
        return self.is_overloaded or (self.maximum > 0 and self.demand > self.maximum)

    @property
    def sentence(self) -> str:
        """Say that the pool is too small and what helps; "" while it is large enough."""
        if not self.exceeds:
            return ""
        return _(
            "%(probes)d probes need %(demand)s threads at a time, which exceeds the maximum of "
            "%(maximum)d threads: some runs will be missed. Raise max_workers, lengthen "
            "intervals, or spread the probes over more agents."
        ) % {"probes": self.probes, "demand": f"{self.demand:.1f}", "maximum": self.maximum}


def thread_pool(pool: Mapping[str, Any]) -> ThreadPoolFacts:
    """Return the probe pool's figures."""
    missed = pool.get("missed")
    return ThreadPoolFacts(
        running=_count(pool, "active_threads"),
        waiting=_count(pool, "pending_tasks"),
        maximum=_count(pool, "max_workers"),
        completed=_count(pool, "completed_tasks"),
        probes=_count(pool, "probes"),
        demand=number_of(pool.get("demand")),
        dropped=_count(pool, "dropped"),
        missed=int(sum(map(number_of, missed.values()))) if isinstance(missed, dict) else 0,
        late_p99_seconds=number_of(pool.get("late_p99_seconds")),
        unsent=_count(pool, "outbox_results"),
        is_overloaded=pool.get("is_overloaded") is True,
        is_known="demand" in pool,
        running_ids=_ids(pool.get("running")),
        waiting_ids=_ids(pool.get("waiting")),
    )


def _count(pool: Mapping[str, Any], name: str) -> int:
    """Return a whole figure of the pool."""
    return int(number_of(pool.get(name)))


def _ids(value: Any) -> tuple[int, ...]:
    """Return the ids of probes that the host names."""
    rows = value if isinstance(value, list | tuple) else ()
    return tuple(one for one in rows if isinstance(one, int) and not isinstance(one, bool))
