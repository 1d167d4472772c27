"""How much runs at once, how much may, and how much the probes need on average."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from agent_client.probing.execution import Active
from agent_client.probing.plan import Probe
from agent_client.probing.pool import DialPool
from agent_client.protocol.probes import ProbeTask

SOCKET_RUNS = 1_000
"""Socket kinds in flight; descriptors and memory bound them, not threads."""
SATURATED_SECONDS = 0.05
_LATENESS_VALUES = 1_000


@dataclass(frozen=True, slots=True)
class Limits:
    """What the pool may do: the settings of `thread_pool`, in seconds and runs."""

    task_timeout: float = 300.0
    queue_size_limit: int = 100
    socket_runs: int = SOCKET_RUNS


class Load:
    """The runs under way and the demand; for use under the scheduler's lock."""

    def __init__(self, pool: DialPool, limits: Limits) -> None:
        """Begin with nothing under way."""
        self._pool = pool
        self._limits = limits
        self.active: set[Active] = set()
        self.sockets = 0
        self.demand = 0.0
        """Threads that blocking kinds need on average: the sum of duration / interval."""
        self.completed = 0
        self._slow = 0
        self._socket_demand = 0.0
        self._lateness: deque[float] = deque(maxlen=_LATENESS_VALUES)

    def begin(self, active: Active) -> None:
        """Count a run that starts."""
        self.active.add(active)
        self._count(active, 1)
        if not active.waiting.request_id:
            self._lateness.append(active.late_seconds)

    def end(self, active: Active) -> None:
        """Count a run that ended or was given up."""
        self.active.discard(active)
        self._count(active, -1)

    def _count(self, active: Active, step: int) -> None:
        if active.blocks:
            self._slow += step if active.is_slow else 0
        else:
            self.sockets += step

    def has_room(self, *, blocks: bool, is_slow: bool) -> bool:
        """Return whether a run can start at once; slow ones get half of the threads."""
        if not blocks:
            return self.sockets < self._limits.socket_runs
        return self._pool.has_room and (not is_slow or self.may_be_slow)

    @property
    def may_be_slow(self) -> bool:
        """Return whether one more slow run may have a thread."""
        return self._slow < max(1, self._pool.max_workers // 2)

    def is_saturated(self, *, blocks: bool, late_seconds: float) -> bool:
        """Return whether durations measured now may be too long."""
        if late_seconds > SATURATED_SECONDS:
            return True
        if blocks:
            return self._pool.active + 1 >= self._pool.max_workers
        return self.sockets + 1 >= self._limits.socket_runs

    def learn(self, *, blocks: bool, share: float) -> None:
        """Add to the demand by which a probe's mean duration / interval has changed."""
        if blocks:
            self.demand += share
        else:
            self._socket_demand += share

    def count_anew(self, probes: Iterable[Probe], blocks: Callable[[ProbeTask], bool]) -> None:
        """Sum up the demand of all probes, after the set has changed."""
        self.demand = self._socket_demand = 0.0
        for probe in probes:
            share = probe.mean_seconds / probe.task.interval
            self.learn(blocks=blocks(probe.task), share=share)

    @property
    def is_overloaded(self) -> bool:
        """Return whether the probes need more than the agent has."""
        workers, sockets = self._pool.max_workers, self._limits.socket_runs
        return self.demand > workers or self._socket_demand > sockets

    def late_p99_seconds(self) -> float:
        """Return how late the latest hundredth of the last 1,000 runs began."""
        ordered = sorted(self._lateness)
        return round(ordered[int(len(ordered) * 0.99)], 6) if ordered else 0.0
