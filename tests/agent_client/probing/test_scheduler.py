"""The scheduler: every due run is executed or counted, and changes take effect in order."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import Any

import pytest

from agent_client.catalogue import Line
from agent_client.probes.kind import Finding, Kind, Run
from agent_client.probing.load import Limits, Load
from agent_client.probing.plan import Probe
from agent_client.probing.pool import DialPool
from agent_client.protocol.probes import ProbeResult, ProbeRun, ProbeTask
from agent_client.scheduler import Scheduler
from tests.agent_client.probing.probes import Clock, Sockets, task

UP = Finding("up")


class Bench:
    """A scheduler with a clock that stands still, and threads that do what a test says."""

    def __init__(self, *, max_workers: int = 2, **limits: Any) -> None:
        self.clock = Clock()
        self.sockets = Sockets()
        self.results: list[ProbeResult] = []
        self.changed = threading.Condition()
        self.call: Any = lambda run: UP
        self.timeout = 5.0
        self.pool = DialPool(max_workers)
        self.scheduler = Scheduler(
            "a-1",
            pool=self.pool,
            sockets=self.sockets,
            prepare=self.prepare,
            blocks=lambda task: task.kind == "blocking",
            record=self.record,
            clock=self.clock,
            limits=Limits(**limits),
        )

    def prepare(self, task: ProbeTask) -> tuple[Kind, Run] | Finding:
        if task.kind == "broken":
            return Finding("error", reason="config_invalid", error="target: is missing")
        run = Run(task.target, task, time.monotonic() + self.timeout, time.monotonic)
        if task.kind == "blocking":
            return Kind("blocking", object, call=lambda run: self.call(run)), run
        return Kind("socket", object, steps=lambda run: None), run

    def record(self, result: ProbeResult) -> None:
        with self.changed:
            self.results.append(result)
            self.changed.notify_all()

    def until(self, holds: Any) -> None:
        with self.changed:
            assert self.changed.wait_for(holds, 10)

    def reasons(self) -> Counter[str]:
        return Counter(one.reason for one in self.results if one.outcome == "missed")

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass in steps, as a scheduler that is awake sees it."""
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + step)
            self.scheduler.turn()

    def account(self) -> int:
        """Return due runs that are neither executed nor missed nor under way."""
        pool = self.scheduler.probe_pool()
        open_runs = len(pool.running) + len(pool.waiting)
        return self.scheduler.due - pool.executed - sum(pool.missed.values()) - open_runs


@pytest.fixture
def bench():
    found = Bench()
    found.scheduler.turn()
    yield found
    found.pool.close()


def made(**limits: Any) -> Bench:
    found = Bench(**limits)
    found.scheduler.turn()
    return found


class Gate:
    """A blocking probe that ends when the test opens the gate."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)

    def __call__(self, run: Run) -> Finding:
        self.entered.release()
        self.open.wait(20)
        return UP


def test_probe_runs_every_interval(bench):
    bench.scheduler.apply([task(1, interval=10.0)])
    for _ in range(3):
        bench.pass_time(10)
        bench.sockets.end_all()
    assert [one.outcome for one in bench.results] == ["up"] * 3
    assert all(one.late_seconds <= 0.5 for one in bench.results)


def test_result_names_probe_tenant_and_version(bench):
    bench.scheduler.apply([task(7, tenant_id="acme", version=3)])
    bench.pass_time(60)
    bench.sockets.end()
    result = bench.results[0]
    assert (result.task_id, result.tenant_id, result.version) == (7, "acme", 3)


def test_blocking_kind_runs_in_a_thread(bench):
    names: list[str] = []
    bench.call = lambda run: names.append(threading.current_thread().name) or UP
    bench.scheduler.apply([task(1, kind="blocking")])
    bench.pass_time(60)
    bench.until(lambda: bench.results)
    assert names[0].startswith("probe")


def test_misconfigured_probe_is_an_error_and_no_downtime(bench):
    bench.scheduler.apply([task(1, kind="broken")])
    bench.pass_time(60)
    assert (bench.results[0].outcome, bench.results[0].reason) == ("error", "config_invalid")


def test_no_second_run_starts_while_one_is_under_way(bench):
    bench.scheduler.apply([task(1, interval=10.0)])
    bench.pass_time(35)
    assert len(bench.sockets.flights) == 1
    bench.sockets.end()
    spans = [one for one in bench.results if one.outcome == "missed"]
    assert [(one.reason, one.count) for one in spans] == [("overrun", 2)] or spans[0].count == 3
    assert bench.account() == 0


def test_healthy_probes_start_on_time_when_others_hang(bench):
    bench.scheduler.apply([task(n, interval=10.0) for n in range(200)])
    bench.pass_time(10)
    for _ in range(3):
        healthy = [i for i, (run, _) in enumerate(bench.sockets.flights) if run.config.task_id % 2]
        for index in reversed(healthy):
            bench.sockets.end(index)
        bench.pass_time(10)
    executed = Counter(one.task_id for one in bench.results if one.outcome == "up")
    assert len(executed) == 100
    assert max(one.late_seconds for one in bench.results if one.outcome == "up") <= 0.5


@pytest.mark.parametrize("queue", [20, 50, 100])
def test_coverage_is_spread_evenly_when_the_load_is_twice_the_capacity(queue):
    bench = made(max_workers=1, socket_runs=10, queue_size_limit=queue)
    bench.scheduler.apply([task(n, interval=10.0) for n in range(200)])
    for _ in range(2_000):  # each step ends 5 of the 10 due in a half second
        bench.pass_time(0.5)
        for _ in range(min(5, len(bench.sockets.flights))):
            bench.sockets.end()
    counts = Counter(one.task_id for one in bench.results if one.outcome == "up")
    share = sum(counts.values()) / bench.scheduler.due
    assert 0.4 < share < 0.6
    assert max(counts.values()) / min(counts[n] for n in range(200)) <= 1.2
    assert bench.account() == 0
    assert not any(one.outcome == "down" for one in bench.results)


def test_hung_run_is_a_timeout_and_its_thread_is_replaced():
    bench, gate = made(max_workers=1), Gate()
    bench.call, bench.timeout = gate, -0.4  # with the grace it expires after 0.1 s
    bench.scheduler.apply([task(1, kind="blocking", interval=60.0)])
    bench.pass_time(60)
    assert gate.entered.acquire(timeout=5)
    deadline = time.monotonic() + 5
    while not bench.results and time.monotonic() < deadline:
        bench.scheduler.turn()
    assert (bench.results[0].outcome, bench.results[0].reason) == ("down", "timeout")
    assert bench.pool.has_room
    bench.pass_time(60)
    assert bench.reasons() == {"overrun": 1}
    gate.open.set()


def test_slow_probes_take_half_of_the_threads_at_most():
    bench, gate = made(max_workers=4), Gate()
    bench.scheduler.apply([task(n, kind="blocking", interval=8.0) for n in range(8)])
    bench.call = lambda run: Finding("down", reason="timeout")
    bench.pass_time(8)
    bench.until(lambda: len(bench.results) >= 8)
    bench.call = gate
    bench.pass_time(8)
    assert bench.scheduler.thread_pool().active_threads == 2
    gate.open.set()


def test_change_of_a_running_probe_takes_effect_after_its_run(bench):
    bench.scheduler.apply([task(1, interval=10.0, target="old")])
    bench.pass_time(10)
    bench.scheduler.apply([task(1, interval=10.0, target="new", version=2)])
    bench.sockets.end()
    assert bench.results[0].version == 1
    bench.pass_time(10)
    assert bench.sockets.flights[0][0].target == "new"


def test_queued_run_is_canceled_when_its_probe_is_removed():
    bench = made(socket_runs=1)
    bench.scheduler.apply([task(1, interval=10.0), task(2, interval=10.0)])
    bench.pass_time(10, step=0.1)
    (waiting,) = bench.scheduler.probe_pool().waiting
    (running,) = bench.scheduler.probe_pool().running
    bench.scheduler.apply([task(running, interval=10.0)])
    assert bench.scheduler.thread_pool().pending_tasks == 0
    bench.sockets.end_all()
    assert waiting not in {one.task_id for one in bench.results if one.outcome == "up"}
    assert bench.account() == 0


def test_nothing_is_due_when_all_probes_were_removed(bench):
    bench.scheduler.apply([task(1)])
    bench.scheduler.apply([])
    bench.pass_time(120)
    assert not bench.results
    assert bench.scheduler.probe_pool().probes == 0


def test_requested_run_goes_once_and_at_once(bench):
    order = ProbeRun(request_id="r-1", task=task(5))
    bench.scheduler.apply([], [order])
    bench.scheduler.apply([], [order])
    bench.sockets.end_all()
    assert [(one.request_id, one.outcome) for one in bench.results] == [("r-1", "up")]
    assert bench.scheduler.due == 0


def test_requested_run_stays_away_when_its_result_is_known(bench):
    bench.scheduler.know_requests(["r-1"])
    bench.scheduler.apply([], [ProbeRun(request_id="r-1", task=task(5))])
    assert not bench.sockets.flights


def test_host_that_slept_tells_one_span_and_no_burst(bench):
    bench.scheduler.apply([task(n, interval=10.0) for n in range(100)])
    bench.clock.now += 600
    bench.scheduler.turn()
    assert not bench.sockets.flights
    assert len(bench.results) == 100
    assert {one.reason for one in bench.results} == {"suspended"}
    assert sum(one.count for one in bench.results) == bench.scheduler.due


def test_stop_cancels_what_waits_and_lets_running_end():
    bench = made(socket_runs=1)
    bench.scheduler.start()
    bench.scheduler.apply([task(1, interval=10.0), task(2, interval=10.0)])
    bench.pass_time(10, step=0.1)
    ending = threading.Timer(0.05, bench.sockets.end)
    ending.start()
    bench.scheduler.stop(10)
    assert bench.reasons() == {"agent_restart": 1}
    assert [one.outcome for one in bench.results].count("up") == 1
    assert bench.account() == 0


def test_stop_counts_what_does_not_end_in_time():
    bench = made()
    bench.scheduler.start()
    bench.scheduler.apply([task(1, interval=10.0)])
    bench.pass_time(10)
    bench.scheduler.stop(0.01)
    assert bench.reasons() == {"agent_restart": 1}


def test_results_are_flagged_when_all_threads_are_busy():
    bench = made(max_workers=1)
    bench.scheduler.apply([task(1, kind="blocking")])
    bench.pass_time(60)
    bench.until(lambda: bench.results)
    assert bench.results[0].saturated


def test_pool_is_overloaded_when_probes_need_more_threads_than_there_are():
    load = Load(DialPool(1), Limits())
    load.count_anew([Probe(task(1, interval=2.0), 0, 0, mean_seconds=3.0)], lambda task: True)
    assert (load.demand, load.is_overloaded) == (1.5, True)
    load.learn(blocks=True, share=-1.0)
    assert not load.is_overloaded


def lines(caplog: pytest.LogCaptureFixture, language: str = "zh") -> list[str]:
    found = [one.msg for one in caplog.records if isinstance(one.msg, Line)]
    return [f"[{logging.getLevelName(one.level)}] {one.text(language)}" for one in found]


def test_log_says_what_came_changed_and_went(bench, caplog):
    caplog.set_level(logging.DEBUG)
    bench.scheduler.apply([task(1, tenant_id="abc")])
    bench.scheduler.apply([task(1, tenant_id="abc", interval=120.0)])
    bench.scheduler.apply([])
    assert lines(caplog)[-3:] == [
        "[INFO] 新增任务 task_id=1, interval=60s, tenant=abc",
        "[INFO] 修改任务 task_id=1, 新间隔=120s",
        "[INFO] 删除任务 task_id=1",
    ]


def test_log_says_a_failure_once_and_the_pool(bench, caplog):
    caplog.set_level(logging.DEBUG)
    bench.scheduler.apply([task(1)])
    for _ in range(2):
        bench.pass_time(60)
        bench.sockets.end(outcome="down", reason="refused")
    assert lines(caplog).count("[ERROR] 任务执行失败 task_id=1, error=refused") == 1
    assert "[DEBUG] 当前线程池 active=0, pending=0, completed=1" in lines(caplog)


def test_log_says_that_there_are_more_probes_than_threads(bench, caplog):
    bench.scheduler.apply([task(1), task(2)])
    assert not any("maximum" in line for line in lines(caplog, "en"))
    bench.scheduler.apply([task(1), task(2), task(3)])
    assert "[WARNING] the tasks exceed the maximum of 2 threads" in lines(caplog, "en")
