"""The curves that grow now: takes what hosts say of their tasks and writes it to the files.

Runs in the thread that flushes hosts' live figures, a round every two seconds. The pause
between two samples doubles whenever a curve has 300 of them, so a file stays below 40 kB
however long its task runs; looks in between are folded into the next sample. Only the
host that runs a task writes its curve, for that offer only (R3).

One process writes a task's curve at a time: the one its agent talks to. A curve picked up
by another process, or after a restart, goes on where its file ends.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from agents.hot import HotAgent
from tasks.choices import Status
from tasks.models import Task
from tasks.samples import files
from tasks.samples.sample import Sample, halve, merge, sample_of

log = logging.getLogger("dialer.tasks.samples")

MAX_SAMPLES = 300
FIRST_STEP_SECONDS = 2
MAX_CURVES = 10_000
MAX_WRITES_A_ROUND = 1_000
MAX_NEW_A_HOST = 64
"""So many unknown tasks of a host are looked up in a round: it may name any number."""
IDS_A_QUERY = 500
SILENT_SECONDS = 60.0


class Runner(NamedTuple):
    """Who may say how much a task uses."""

    agent_id: str
    offer: int


@dataclass(slots=True)
class Curve:
    """A task's samples so far, and the looks that are not yet one."""

    runner: Runner
    first_time: int
    last_time: int
    count: int
    seen_at: float
    looks: int = 0
    folded: Sample | None = None

    def add(self, look: Sample) -> None:
        """Fold one more look into the next sample."""
        self.folded = merge(self.folded, look, weight=self.looks) if self.folded else look
        self.looks += 1
        self.seen_at = time.monotonic()

    def is_due(self, now: int) -> bool:
        """Return whether the next sample is complete."""
        if not self.looks:
            return False
        pause = step_seconds(abs(now - self.first_time))
        return not self.count or abs(now - self.last_time) >= pause  # clocks may be set back


@dataclass(slots=True)
class _State:
    """The curves of running tasks and what was lost; used by the flusher's thread alone."""

    curves: dict[int, Curve] = field(default_factory=dict)
    dropped: int = 0


_state = _State()


def step_seconds(span_seconds: int) -> int:
    """Return the pause between samples of a task that has been running so long."""
    step = FIRST_STEP_SECONDS
    while step * MAX_SAMPLES <= span_seconds:
        step *= 2
    return step


def take(hosts: Sequence[HotAgent]) -> None:
    """Take what these hosts said last of their tasks and write what is due."""
    now = int(time.time())
    unknown: list[tuple[HotAgent, int, Runner]] = []
    for host in hosts:
        unknown += _add_known(host, now)
    _add_unknown(unknown, now)
    _write(_take_silent())
    due = [item for item in _state.curves.items() if item[1].is_due(now)]
    due.sort(key=lambda item: item[1].last_time)
    _write(due[:MAX_WRITES_A_ROUND])


def count_dropped() -> int:
    """Return how many samples were lost: too many tasks at once, or a disk in trouble."""
    return _state.dropped


def clear() -> None:
    """Forget every curve; for tests."""
    _state.curves.clear()
    _state.dropped = 0


def _add_known(host: HotAgent, now: int) -> Iterator[tuple[HotAgent, int, Runner]]:
    """Fold the looks at known tasks; yield some of those that are not known."""
    new = 0
    for seen in host.sub_agents:
        curve = _state.curves.get(seen.task_id)
        runner = Runner(host.agent_id, seen.offer)
        if curve and curve.runner == runner:
            curve.add(sample_of(seen, now))
        elif not curve and new < MAX_NEW_A_HOST:
            new += 1
            yield host, seen.task_id, runner


def _add_unknown(unknown: Sequence[tuple[HotAgent, int, Runner]], now: int) -> None:
    """Begin the curves of tasks that these hosts were told to run."""
    runners = dict(_read_runners(sorted({task_id for _host, task_id, _runner in unknown})))
    for host, task_id, runner in unknown:
        if runners.get(task_id) != runner or task_id in _state.curves:
            continue
        if len(_state.curves) >= MAX_CURVES:
            _state.dropped += 1
            continue
        curve = _state.curves[task_id] = _resume(task_id, runner, now)
        look = next(seen for seen in host.sub_agents if seen.task_id == task_id)
        curve.add(sample_of(look, now))


def _read_runners(task_ids: Sequence[int]) -> Iterator[tuple[int, Runner]]:
    """Yield who runs which of the tasks."""
    for start in range(0, len(task_ids), IDS_A_QUERY):
        chunk = task_ids[start : start + IDS_A_QUERY]
        running = Task.objects.filter(pk__in=chunk, status=Status.RUNNING).order_by()
        for task_id, agent_id, offer in running.values_list("pk", "agent_id", "offer"):
            yield task_id, Runner(agent_id or "", offer)


def _resume(task_id: int, runner: Runner, now: int) -> Curve:
    """Return the curve of a task, as far as its file goes."""
    files.path_of(task_id).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    samples = files.read(task_id)
    first, last = (samples[0].time, samples[-1].time) if samples else (now, now)
    return Curve(runner, first, last, len(samples), time.monotonic())


def _take_silent() -> Iterator[tuple[int, Curve]]:
    """Drop the curves of tasks that nobody speaks of any more; yield those with looks left."""
    until = time.monotonic() - SILENT_SECONDS
    for task_id, curve in list(_state.curves.items()):
        if curve.seen_at < until:
            del _state.curves[task_id]
            if curve.looks:
                yield task_id, curve


def _write(due: Iterable[tuple[int, Curve]]) -> None:
    """Write the next sample of these curves; what the disk refuses is lost and counted."""
    failure: OSError | None = None
    for task_id, curve in due:
        try:
            _write_one(task_id, curve)
        except OSError as error:
            _state.dropped += 1
            failure = error
    if failure:
        log.warning("samples of tasks could not be written: %s", failure)


def _write_one(task_id: int, curve: Curve) -> None:
    """Write a curve's next sample, and thin it out when it is full; raises OSError."""
    sample = curve.folded
    curve.looks, curve.folded = 0, None
    if sample is None:
        return
    files.append(task_id, sample)
    curve.last_time = sample.time
    curve.count += 1
    if curve.count >= MAX_SAMPLES:
        thinned = halve(files.read(task_id))
        files.replace(task_id, thinned)
        curve.count = len(thinned)
