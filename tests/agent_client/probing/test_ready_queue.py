"""The queue before the threads: order, lanes, and who is dropped."""

from __future__ import annotations

from agent_client.probing.plan import Probe
from agent_client.probing.ready_queue import ReadyQueue, Waiting
from tests.agent_client.probing.probes import task

NOW = 1000.0


def run(task_id: int = 1, due: float = NOW, coverage: float = 1.0, **more) -> Waiting:
    probe = Probe(task(task_id), 0.0, 0.0, coverage=coverage, **more)
    return Waiting(probe, due)


def test_first_due_comes_first():
    queue = ReadyQueue(10)
    first, second = run(1, NOW - 2), run(2, NOW - 1)
    queue.put(first, NOW)
    queue.put(second, NOW)
    assert [queue.take(NOW, may_be_slow=True)[0] for _ in range(3)] == [first, second, None]


def test_too_late_run_goes_first_when_the_queue_is_full():
    queue = ReadyQueue(2)
    stale, fresh = run(1, NOW - 6), run(2)
    queue.put(stale, NOW - 6)
    queue.put(fresh, NOW)
    assert queue.put(run(3), NOW) == [(stale, "late")]


def test_best_served_probe_goes_when_the_queue_is_full():
    queue = ReadyQueue(2)
    starved, spoilt = run(1, coverage=0.2), run(2, coverage=0.9)
    queue.put(starved, NOW)
    queue.put(spoilt, NOW)
    assert queue.put(run(3, coverage=0.5), NOW) == [(spoilt, "queue_full")]


def test_newest_goes_when_all_are_served_alike():
    queue = ReadyQueue(1)
    queue.put(run(1), NOW)
    newest = run(2)
    assert queue.put(newest, NOW) == [(newest, "queue_full")]


def test_slow_probes_get_half_of_the_room():
    queue = ReadyQueue(4)
    dropped = [gone for n in range(5) for gone in queue.put(run(n, has_timed_out=True), NOW)]
    assert len(queue) == 2
    assert len(dropped) == 3
    assert queue.put(run(9), NOW) == []


def test_fast_run_passes_when_no_slow_one_may_start():
    queue = ReadyQueue(4)
    fast = run(2, NOW + 1)
    queue.put(run(1, has_timed_out=True), NOW)
    queue.put(fast, NOW)
    assert queue.take(NOW, may_be_slow=False)[0] is fast
    assert queue.take(NOW, may_be_slow=False)[0] is None


def test_run_on_request_comes_first_and_is_never_late():
    queue = ReadyQueue(4)
    asked = Waiting(run(1).probe, NOW - 100, "r-1")
    queue.put(run(2), NOW)
    queue.put(asked, NOW)
    assert queue.take(NOW, may_be_slow=True) == (asked, [])


def test_late_run_is_told_when_the_next_is_taken():
    queue = ReadyQueue(4)
    stale = run(1, NOW - 6)
    queue.put(stale, NOW - 6)
    assert queue.take(NOW, may_be_slow=True) == (None, [(stale, "late")])


def test_queued_run_is_taken_out_when_its_probe_goes():
    queue = ReadyQueue(4)
    one = run(1)
    queue.put(one, NOW)
    assert queue.discard(one.probe) is one
    assert queue.discard(one.probe) is None
