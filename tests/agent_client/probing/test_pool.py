"""The bounded threads: room, given-up runs, spares."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from agent_client.probes.kind import Finding
from agent_client.probing.pool import DialPool, end_despite_hung_threads

UP = Finding("up")


class Hanging:
    """A call that returns when the test lets it."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.release = threading.Event()

    def __call__(self) -> Finding:
        self.started.set()
        self.release.wait(20)
        return UP


@pytest.fixture
def hanging() -> Iterator[Hanging]:
    found = Hanging()
    yield found
    found.release.set()


@pytest.fixture
def pool() -> Iterator[DialPool]:
    found = DialPool(1)
    yield found
    found.close()


class Findings:
    """Collects what comes back."""

    def __init__(self) -> None:
        self.all: list[Finding] = []
        self.came = threading.Event()

    def __call__(self, finding: Finding) -> None:
        self.all.append(finding)
        self.came.set()


def test_there_is_no_room_while_all_threads_are_busy(pool, hanging):
    done = Findings()
    pool.submit(hanging, timeout_seconds=60, on_done=done)
    assert hanging.started.wait(5)
    assert (pool.active, pool.has_room) == (1, False)
    hanging.release.set()
    assert done.came.wait(5)
    assert pool.has_room


def test_exception_becomes_an_error_of_the_run(pool):
    done = Findings()
    pool.submit(lambda: 1 / 0, timeout_seconds=60, on_done=done)
    assert done.came.wait(5)
    assert (done.all[0].outcome, done.all[0].reason) == ("error", "crash")


def test_another_run_starts_when_a_hung_one_was_given_up(pool, hanging):
    job = pool.submit(hanging, timeout_seconds=60, on_done=Findings())
    assert hanging.started.wait(5)
    assert pool.give_up(job)
    assert (pool.has_room, pool.abandoned) == (True, 1)
    done = Findings()
    pool.submit(lambda: UP, timeout_seconds=60, on_done=done)
    assert done.came.wait(5)


def test_pool_shrinks_when_the_spares_are_used_up(hanging):
    pool = DialPool(1, max_abandoned=0)
    job = pool.submit(hanging, timeout_seconds=60, on_done=Findings())
    assert hanging.started.wait(5)
    pool.give_up(job)
    assert not pool.has_room
    pool.close()


def test_hung_thread_is_no_longer_counted_when_it_comes_back(pool, hanging):
    done = Findings()
    job = pool.submit(hanging, timeout_seconds=60, on_done=done)
    assert hanging.started.wait(5)
    pool.give_up(job)
    hanging.release.set()
    assert done.came.wait(5)
    assert pool.abandoned == 0


def test_run_cannot_be_given_up_when_it_has_ended(pool):
    done = Findings()
    job = pool.submit(lambda: UP, timeout_seconds=60, on_done=done)
    assert done.came.wait(5)
    assert not pool.give_up(job)


def test_process_ends_although_a_thread_hangs(pool, hanging, monkeypatch):
    ends: list[int] = []
    monkeypatch.setattr("agent_client.probing.pool.LEAVE_SECONDS", 0.01)
    monkeypatch.setattr("agent_client.probing.pool.os._exit", ends.append)
    pool.submit(hanging, timeout_seconds=60, on_done=Findings())
    assert hanging.started.wait(5)
    end_despite_hung_threads(3)
    assert ends == [3]
