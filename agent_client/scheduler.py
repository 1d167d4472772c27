"""The scheduler of dial tests: owns which probe runs when, and in which thread.

One thread sleeps until the next due moment. Kinds that block run in the bounded thread
pool, socket kinds thousands at once on the selector loop; either way at most one run per
probe, and what cannot run is counted with its reason: due = executed + missed. Changes
take effect at once, for a running probe after its run. Knows nothing of what a kind
does, where results go or where probes come from. All methods are safe in any thread.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from agent_client.catalogue import announce
from agent_client.probes.kind import Finding, Kind, Run
from agent_client.probing.announcements import say_changes, say_pool, say_trouble
from agent_client.probing.execution import (
    Active,
    Prepare,
    SocketDriver,
    begin,
    prepared,
    refused,
    result_of,
)
from agent_client.probing.load import Limits, Load
from agent_client.probing.plan import Changes, Missed, Plan, Probe, Reason
from agent_client.probing.pool import DialPool
from agent_client.probing.ready_queue import Dropped, ReadyQueue, Waiting
from agent_client.probing.results import result_of_span
from agent_client.protocol.messages import ProbePool, ThreadPool
from agent_client.protocol.probes import ProbeResult, ProbeRun, ProbeTask

logger = logging.getLogger(__name__)

STALL_SECONDS = 2.0
"""Waking up later than this is a suspended host or a stopped process, not load."""
MAX_SLEEP_SECONDS = 1.0
IDLE_SLEEP_SECONDS = 60.0
MAX_REQUESTS = 100
MAX_NAMED = 200
POOL_LINE_SECONDS = 10.0


class Scheduler:
    """All probes of this agent, running."""

    def __init__(
        self,
        agent_id: str,
        *,
        pool: DialPool,
        sockets: SocketDriver,
        prepare: Prepare,
        blocks: Callable[[ProbeTask], bool],
        record: Callable[[ProbeResult], None],
        clock: Callable[[], float],
        limits: Limits | None = None,
    ) -> None:
        """clock is steady and began as UTC; record must not wait."""
        self._pool = pool
        self._sockets = sockets
        self._prepare = prepare
        self._blocks = blocks
        self._record = record
        self._clock = clock
        self._limits = limits or Limits()
        self._plan = Plan(agent_id)
        self._changed = threading.Condition(threading.RLock())
        self._threads_queue = ReadyQueue(self._limits.queue_size_limit)
        self._sockets_queue = ReadyQueue(self._limits.queue_size_limit)
        self._load = Load(pool, self._limits)
        self._expiries: list[tuple[float, int, Active]] = []
        self._numbers = itertools.count()
        self._requests: deque[str] = deque(maxlen=1_000)
        self._was_exceeded = False
        self._is_stopping = False
        self._told_pool_at = 0.0
        self._wake_at = 0.0
        self._thread: threading.Thread | None = None

    # --- life ------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread."""
        self._wake_at = self._clock()
        self._thread = threading.Thread(target=self._run, name="probe-scheduler", daemon=True)
        self._thread.start()

    def stop(self, timeout_seconds: float) -> None:
        """Cancel what waits, let running probes end, count those that do not."""
        with self._changed:
            self._is_stopping = True
            for run in [*self._threads_queue.clear(), *self._sockets_queue.clear()]:
                self._missed_run(run, "agent_restart")
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._load.active, timeout_seconds)
            for active in list(self._load.active):
                if not active.is_told:
                    active.is_told = True
                    self._load.end(active)
                    self._missed_run(active.waiting, "agent_restart")
        if self._thread is not None:
            self._thread.join()
        self._pool.close()

    def apply(
        self,
        tasks: Sequence[ProbeTask],
        runs: Iterable[ProbeRun] = (),
        *,
        since: float | None = None,
    ) -> Changes:
        """Take the server's set of probes in, and run what a person asked to run now.

        New probes are due from `since` on, which is now when it is not given.
        """
        with self._changed:
            now = self._clock() if since is None else since
            self._take_due(now, was_suspended=self._is_stalled(now))
            changes = self._plan.replace(tasks, now)
            for probe in changes.canceled:
                self._queue_of(probe.task).discard(probe)
            self._load.count_anew(self._plan.probes.values(), self._blocks)
            for run in runs:
                self._request(run, now)
            self._changed.notify_all()
        say_changes(changes)
        self._say_exceeded()
        return changes

    def count_missed(self, span: Missed) -> None:
        """Tell runs that were due while no scheduler was there; not of this start's count."""
        self._record(result_of_span(span))

    def know_requests(self, request_ids: Iterable[str]) -> None:
        """Never run these again; their results are stored."""
        self._requests.extend(request_ids)

    # --- the thread -------------------------------------------------------------------

    def _run(self) -> None:
        with self._changed:
            while not (self._is_stopping and not self._load.active):
                wake_at = self.turn()
                self._changed.wait(max(0.0, wake_at - self._clock()))

    def turn(self) -> float:
        """Do everything that is due now and return when to look again."""
        with self._changed:
            now = self._clock()
            if not self._is_stopping:
                self._take_due(now, was_suspended=self._is_stalled(now))
            self._give_up_hung()
            self._tell_pool(now)
            self._wake_at = self._next_wake(now)
            return self._wake_at

    def _is_stalled(self, now: float) -> bool:
        return now - self._wake_at > STALL_SECONDS

    def _next_wake(self, now: float) -> float:
        due = None if self._is_stopping else self._plan.next_at
        # Short naps tell a suspended host from a probe that is far away; without probes
        # there is nothing to tell.
        moments = [now + (MAX_SLEEP_SECONDS if self._plan.probes else IDLE_SLEEP_SECONDS)]
        if due is not None:
            moments.append(due)
        if self._expiries:
            moments.append(now + self._expiries[0][0] - time.monotonic())
        return min(moments)

    def _take_due(self, now: float, *, was_suspended: bool) -> None:
        """Start, queue or count everything that is due."""
        runs, missed = self._plan.advance(now, was_suspended=was_suspended)
        for span in missed:
            self._record(result_of_span(span))
        for due in runs:
            if due.probe.state == "waiting":
                self._replace_waiting(due.probe)
            self._offer(Waiting(due.probe, due.at), now)

    def _replace_waiting(self, probe: Probe) -> None:
        """Count the earlier run that still waits: it is an interval late."""
        waiting = self._queue_of(probe.task).discard(probe)
        if waiting is not None:
            self._missed_run(waiting, "late")

    # --- from due to done ---------------------------------------------------------------

    def _offer(self, run: Waiting, now: float) -> None:
        """Start a run if it can start, else queue it."""
        task = run.probe.task
        queue = self._queue_of(task)
        if not queue and self._load.has_room(blocks=self._blocks(task), is_slow=run.probe.is_slow):
            self._start(run, now)
            return
        run.probe.state = "waiting"
        self._drop(queue.put(run, now))

    def _drop(self, dropped: Iterable[Dropped]) -> None:
        for run, reason in dropped:
            self._missed_run(run, reason)

    def _missed_run(self, run: Waiting, reason: Reason) -> None:
        """Count and tell one run that will not be executed."""
        if run.request_id:
            self._record(refused(run, reason))
            return
        span = self._plan.missed(run.probe, reason, 1, run.due, run.due)
        self._record(result_of_span(span))
        overruns = self._plan.finished(run.probe, None)
        if overruns is not None:
            self._record(result_of_span(overruns))

    def _queue_of(self, task: ProbeTask) -> ReadyQueue:
        return self._threads_queue if self._blocks(task) else self._sockets_queue

    def _start(self, run: Waiting, now: float) -> None:
        """Execute a run: on the loop, in a thread, or not at all when it is misconfigured."""
        blocks = self._blocks(run.probe.task)
        late = max(0.0, now - run.due)
        is_saturated = self._load.is_saturated(blocks=blocks, late_seconds=late)
        active = begin(run, late_seconds=late, blocks=blocks, is_saturated=is_saturated)
        run.probe.state = "running"
        self._load.begin(active)
        ready = prepared(self._prepare, active.task)
        if isinstance(ready, Finding):
            self._done(active, ready)
            return
        kind, order = ready[0], self._limited(ready[1])
        if blocks:
            self._start_thread(active, kind, order)
        elif not self._sockets.submit(kind, order, partial(self._done, active)):
            self._load.end(active)
            self._missed_run(run, "queue_full")

    def _limited(self, order: Run) -> Run:
        """Return the run with the host's own limit on its time."""
        latest = order.clock() + self._limits.task_timeout
        return order if order.deadline <= latest else replace(order, deadline=latest)

    def _start_thread(self, active: Active, kind: Kind, order: Run) -> None:
        call = kind.call
        if call is None:
            raise TypeError(f"{kind.name} is no blocking kind")
        timeout_seconds = order.deadline - order.clock()
        active.job = self._pool.submit(
            partial(call, order),
            timeout_seconds=timeout_seconds,
            on_done=partial(self._done, active),
        )
        heapq.heappush(self._expiries, (active.job.expires, next(self._numbers), active))

    def _done(self, active: Active, finding: Finding) -> None:
        """Take a run's finding, from whichever thread; tell it and start what waits."""
        with self._changed:
            if active.is_told:
                self._came_back(active)
            else:
                self._tell(active, finding, is_stuck=False)
            self._dispatch()
            if self._is_stopping:
                self._changed.notify_all()

    def _came_back(self, active: Active) -> None:
        """Let the probe of a thread that was given up run again; not before: one at a time."""
        if not active.waiting.request_id:
            self._plan.came_back(active.waiting.probe)

    def _tell(self, active: Active, finding: Finding, *, is_stuck: bool) -> None:
        """Record what a run came to, and the due runs that it prevented."""
        seconds = time.monotonic() - active.started
        active.is_told = True
        self._load.end(active)
        self._load.completed += 1
        probe = active.waiting.probe
        self._record(result_of(active, finding, seconds))
        if active.waiting.request_id:
            return
        say_trouble(probe, finding)
        before = probe.mean_seconds
        probe.has_timed_out = finding.reason == "timeout"
        overruns = self._plan.finished(probe, seconds, is_stuck=is_stuck)
        if not probe.is_removed:
            share = (probe.mean_seconds - before) / active.task.interval
            self._load.learn(blocks=active.blocks, share=share)
        if overruns is not None:
            self._record(result_of_span(overruns))

    def _dispatch(self) -> None:
        """Start what waits as far as there is room."""
        if self._is_stopping:
            return
        while self._sockets_queue and self._load.has_room(blocks=False, is_slow=False):
            if not self._start_next(self._sockets_queue, may_be_slow=True):
                break
        while self._threads_queue and self._pool.has_room:
            if not self._start_next(self._threads_queue, may_be_slow=self._load.may_be_slow):
                break

    def _start_next(self, queue: ReadyQueue, *, may_be_slow: bool) -> bool:
        now = self._clock()
        run, dropped = queue.take(now, may_be_slow=may_be_slow)
        self._drop(dropped)
        if run is not None:
            self._start(run, now)
        return run is not None

    def _give_up_hung(self) -> None:
        """End the runs whose thread did not come back: result, slot, and a count."""
        while self._expiries and self._expiries[0][0] <= time.monotonic():
            _, _, active = heapq.heappop(self._expiries)
            if active.is_told or active.job is None or not self._pool.give_up(active.job):
                continue
            logger.warning("a run of probe %d hangs in its thread", active.task.task_id)
            late = Finding("down", reason="timeout", error="the run did not end at its deadline")
            self._tell(active, late, is_stuck=True)
            self._dispatch()

    # --- runs on request, and what is told -----------------------------------------------

    def _request(self, order: ProbeRun, now: float) -> None:
        """Run a probe once because a person asked for it; each request a single time."""
        if order.request_id in self._requests:
            return
        self._requests.append(order.request_id)
        probe = Probe(order.task, 0.0, now)
        run = Waiting(probe, now, order.request_id)
        waiting = sum(bool(one.request_id) for one in self._queue_of(order.task))
        if self._is_stopping or waiting >= MAX_REQUESTS:
            self._record(refused(run, "queue_full"))
        else:
            self._offer(run, now)

    def _say_exceeded(self) -> None:
        """Say once that there is more to do than threads, when it has become so."""
        with self._changed:
            exceeded = len(self._plan.probes) > self._pool.max_workers or self._load.is_overloaded
        if exceeded and not self._was_exceeded:
            announce(logger, "pool_exceeded", max_workers=self._pool.max_workers)
        self._was_exceeded = exceeded

    def _tell_pool(self, now: float) -> None:
        if now - self._told_pool_at >= POOL_LINE_SECONDS:
            self._told_pool_at = now
            say_pool(self.thread_pool())
            self._say_exceeded()

    def thread_pool(self) -> ThreadPool:
        """Return the state of the pool for the heartbeat."""
        with self._changed:
            return ThreadPool(
                max_workers=self._pool.max_workers,
                active_threads=self._pool.active,
                completed_tasks=self._load.completed,
                pending_tasks=len(self._threads_queue) + len(self._sockets_queue),
            )

    def probe_pool(self) -> ProbePool:
        """Return the state of all probes for the heartbeat."""
        with self._changed:
            accounts = self._plan.accounts
            waiting = [run.probe.task.task_id for run in self._threads_queue]
            waiting += [run.probe.task.task_id for run in self._sockets_queue]
            running = [active.task.task_id for active in self._load.active]
            return ProbePool(
                probes=len(self._plan.probes),
                demand=round(self._load.demand, 3),
                dropped=accounts.missed.get("queue_full", 0),
                executed=accounts.executed,
                missed=dict(accounts.missed),
                late_p99_seconds=self._load.late_p99_seconds(),
                selector_active=self._load.sockets,
                is_overloaded=self._load.is_overloaded,
                running=tuple(running[:MAX_NAMED]),
                waiting=tuple(waiting[:MAX_NAMED]),
            )

    @property
    def due(self) -> int:
        """Return how many runs were due since the start."""
        return self._plan.accounts.due
