"""When each probe is due, and what became of every due run. Pure: the clock is an argument.

A probe is due at phase + k × interval, computed by multiplication: no drift. The phase
is a hash of probe and agent, so that no change of other probes moves it, a restart finds
the same moments, and ten thousand probes make a flat load. Moments are seconds on a clock
that began as UTC and never steps. Every due run is executed or missed, with one reason.
"""

from __future__ import annotations

import hashlib
import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from agent_client.protocol.probes import ProbeTask

LATE_LIMIT_SECONDS = 5.0
SLOW_SECONDS = 1.0
_WEIGHT = 0.2
"""Of the newest run in the mean duration."""
_COVERAGE_WEIGHT = 0.1

Reason = Literal["overrun", "queue_full", "late", "suspended", "agent_restart", "removed"]


@dataclass(slots=True, eq=False)
class Probe:
    """One probe in the plan; due is the next moment that nobody has decided about."""

    task: ProbeTask
    phase: float
    due: float
    state: Literal["idle", "waiting", "running", "stuck"] = "idle"
    """stuck: its result is told, but its thread has not come back."""
    next_task: ProbeTask | None = None
    """What to do from the next run on; set while a run is under way."""
    is_removed: bool = False
    overruns: int = 0
    overrun_first: float = 0.0
    overrun_last: float = 0.0
    coverage: float = 1.0
    """Share of its recent due runs that were executed."""
    mean_seconds: float = 0.0
    has_timed_out: bool = False
    last_trouble: str = ""

    @property
    def is_slow(self) -> bool:
        """Return whether its next run will probably hold a thread for long."""
        return self.has_timed_out or self.mean_seconds > SLOW_SECONDS

    def covered(self, share: float) -> None:
        """Note whether a due run was executed (1) or missed (0)."""
        self.coverage += (share - self.coverage) * _COVERAGE_WEIGHT


class Missed(NamedTuple):
    """Due runs of one probe that were not executed; first and last are when they were due."""

    task: ProbeTask
    reason: Reason
    runs: int
    first: float
    last: float


class Due(NamedTuple):
    """A run to be started, and when it was due."""

    probe: Probe
    at: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What a new set of probes changed; canceled are those whose queued run must go."""

    added: Sequence[ProbeTask] = ()
    changed: Sequence[ProbeTask] = ()
    removed: Sequence[ProbeTask] = ()
    canceled: Sequence[Probe] = ()


@dataclass(slots=True)
class Accounts:
    """Exact counters since the start: due = executed + missed + under way."""

    due: int = 0
    executed: int = 0
    missed: dict[str, int] = field(default_factory=dict)

    def miss(self, reason: str, count: int = 1) -> None:
        """Count missed runs."""
        self.missed[reason] = self.missed.get(reason, 0) + count


class Plan:
    """All probes of this agent and the moments they are due."""

    def __init__(self, agent_id: str) -> None:
        """Begin without probes; agent_id goes into every phase."""
        self._agent_id = agent_id
        self.probes: dict[int, Probe] = {}
        self.accounts = Accounts()
        self._leaving: dict[int, Probe] = {}
        self._heap: list[tuple[float, int]] = []

    @property
    def next_at(self) -> float | None:
        """Return when something is due next, None without probes."""
        while self._heap:
            due, task_id = self._heap[0]
            probe = self.probes.get(task_id)
            if probe is not None and probe.due == due:
                return due
            heapq.heappop(self._heap)
        return None

    # --- which probes ---------------------------------------------------------------

    def replace(self, tasks: Iterable[ProbeTask], now: float) -> Changes:
        """Take a new set of probes in; call `advance` for the same moment before.

        An unchanged probe is not touched at all. A running one changes after its run.
        """
        wanted = {task.task_id: task for task in tasks}
        added, changed = [], []
        gone = [probe for task_id, probe in self.probes.items() if task_id not in wanted]
        canceled = [probe for probe in gone if probe.state == "waiting"]
        for probe in gone:
            self._remove(probe)
        for task in wanted.values():
            known = self.probes.get(task.task_id)
            if known is None:
                self._add(task, now)
                added.append(task)
            elif task != (known.next_task or known.task):
                self._change(known, task, now)
                changed.append(task)
        return Changes(added, changed, [probe.task for probe in gone], canceled)

    def _add(self, task: ProbeTask, now: float) -> None:
        """Add a probe; one that was removed during its run comes back as a change of it."""
        leaving = self._leaving.pop(task.task_id, None)
        probe = leaving or Probe(task, phase_of(task, self._agent_id), 0.0)
        probe.is_removed = False
        self.probes[task.task_id] = probe
        self._change(probe, task, now)

    def _change(self, probe: Probe, task: ProbeTask, now: float) -> None:
        if probe.state == "running":
            probe.next_task = task
        else:
            probe.task = task
        probe.phase = phase_of(task, self._agent_id)
        self._schedule(probe, first_after(now, probe.phase, task.interval))

    def _remove(self, probe: Probe) -> None:
        del self.probes[probe.task.task_id]
        probe.is_removed = True
        if probe.state in ("running", "stuck"):
            self._leaving[probe.task.task_id] = probe
        elif probe.state == "waiting":
            self.accounts.miss("removed")

    def _schedule(self, probe: Probe, due: float) -> None:
        probe.due = due
        heapq.heappush(self._heap, (due, probe.task.task_id))
        # Entries of changed and removed probes stay until they are due; keep them few.
        if len(self._heap) > 64 + 2 * len(self.probes):
            self._heap = [(one.due, task_id) for task_id, one in self.probes.items()]
            heapq.heapify(self._heap)

    # --- what is due ----------------------------------------------------------------

    def advance(self, now: float, *, was_suspended: bool = False) -> tuple[list[Due], list[Missed]]:
        """Decide about everything due up to now: runs to start, and spans that are missed.

        After a suspension everything due meanwhile is missed, in one span per probe: a
        burst of late runs would measure the burst.
        """
        runs: list[Due] = []
        missed: list[Missed] = []
        while (at := self.next_at) is not None and at <= now:
            probe = self.probes[heapq.heappop(self._heap)[1]]
            interval = (probe.next_task or probe.task).interval
            count = max(1, math.floor((now - at) / interval) + 1)
            last = due_at(at, count - 1, probe.phase, interval)
            self._schedule(probe, due_at(last, 1, probe.phase, interval))
            self.accounts.due += count
            if was_suspended or count > 1 or now - at > late_limit(interval):
                missed.append(self.missed(probe, _why(was_suspended, count), count, at, last))
            elif probe.state == "stuck":
                missed.append(self.missed(probe, "overrun", 1, at, at))
            elif probe.state == "running":
                self._overrun(probe, at)
            else:
                runs.append(Due(probe, at))
        return runs, missed

    def missed(self, probe: Probe, reason: Reason, count: int, first: float, last: float) -> Missed:
        """Count due runs as missed and return the span."""
        self.accounts.miss(reason, count)
        probe.covered(0.0)
        return Missed(probe.task, reason, count, first, last)

    def _overrun(self, probe: Probe, at: float) -> None:
        """Keep a due run that the running one prevents; told when that one ends.

        Told at once it would be stored before the result of the earlier run.
        """
        self.accounts.miss("overrun")
        probe.covered(0.0)
        probe.overrun_first = probe.overrun_first if probe.overruns else at
        probe.overrun_last = at
        probe.overruns += 1

    def finished(
        self, probe: Probe, duration_seconds: float | None, *, is_stuck: bool = False
    ) -> Missed | None:
        """Note the end of a run (None: it was not executed) and return what it prevented.

        With is_stuck its thread still hangs: the probe stays out until `came_back`.
        """
        probe.state = "stuck" if is_stuck else "idle"
        if not is_stuck:
            self._leaving.pop(probe.task.task_id, None)
        if duration_seconds is not None:
            self.accounts.executed += 1
            probe.covered(1.0)
            probe.mean_seconds += _WEIGHT * (duration_seconds - probe.mean_seconds)
        span = self._told_overruns(probe)
        if probe.next_task is not None:
            probe.task, probe.next_task = probe.next_task, None
        return span

    def came_back(self, probe: Probe) -> None:
        """Let a probe run again whose hung thread has ended."""
        probe.state = "idle"
        self._leaving.pop(probe.task.task_id, None)

    def _told_overruns(self, probe: Probe) -> Missed | None:
        if not probe.overruns:
            return None
        count, probe.overruns = probe.overruns, 0
        return Missed(probe.task, "overrun", count, probe.overrun_first, probe.overrun_last)


def phase_of(task: ProbeTask, agent_id: str) -> float:
    """Return the seconds into each interval at which a probe is due, the same for ever."""
    name = f"{task.task_id}:{agent_id}".encode()
    number = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big")
    return number / 2**64 * task.interval


def first_after(now: float, phase: float, interval: float) -> float:
    """Return the first due moment after now."""
    due = phase + (math.floor((now - phase) / interval) + 1) * interval
    return due if due > now else due + interval


def due_at(at: float, steps: int, phase: float, interval: float) -> float:
    """Return the due moment some steps after another one, without adding up errors."""
    return phase + (round((at - phase) / interval) + steps) * interval


def late_limit(interval: float) -> float:
    """Return how late a run may start, in seconds."""
    return min(interval / 4, LATE_LIMIT_SECONDS)


def _why(was_suspended: bool, count: int) -> Reason:
    # Several intervals in one step can only mean that nobody looked for so long.
    return "suspended" if was_suspended or count > 1 else "late"
