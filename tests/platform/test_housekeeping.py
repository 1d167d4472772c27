"""One process does the periodic work; a failing job harms no other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from dialer_platform.housekeeping import Job, lease
from dialer_platform.housekeeping.lease import HousekeepingLease
from dialer_platform.housekeeping.loop import RENEW_SECONDS, HousekeepingLoop
from dialer_platform.models import JobRun, Lease

pytestmark = pytest.mark.django_db


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        """Start at an arbitrary moment."""
        self.now = 100.0

    def __call__(self) -> float:
        """Return the moment."""
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def ran() -> list[str]:
    """Collect which jobs ran."""
    return []


@pytest.fixture
def loop(clock, ran):
    """Return a loop with a quick, a failing and a slow-paced job."""
    work = [
        Job("quick", 1, lambda: ran.append("quick")),
        Job("broken", 1, lambda: 1 / 0),
        Job("daily", 86400, lambda: ran.append("daily")),
    ]
    return HousekeepingLoop(get_jobs=lambda: work, clock=clock)


def date_renewal(**delta: float) -> None:
    """Let the last renewal be of another time: it is old, or the clock was set since."""
    Lease.objects.update(renewed_at=timezone.now() + timedelta(**delta))


@pytest.fixture
def process(clock):
    """Return a function that makes the claim of another process."""
    return lambda name: HousekeepingLease(name, clock=clock)


@pytest.fixture
def held(process) -> HousekeepingLease:
    """Return the claim of the process that has the lease."""
    one = process("one")
    assert one.acquire()
    return one


def test_first_process_gets_the_lease_and_the_second_waits(held, process):
    assert not process("two").acquire()
    assert held.acquire()


def test_process_that_finds_an_old_lease_at_its_start_takes_it_at_once(held, process):
    date_renewal(seconds=-lease.LEASE_SECONDS - 1)
    assert process("two").acquire()
    assert not held.acquire()


def test_lease_passes_on_when_its_holder_is_silent(held, process, clock):
    waiting = process("two")
    assert not waiting.acquire()
    clock.now += lease.LEASE_SECONDS
    assert waiting.acquire()


def test_process_that_starts_later_waits_for_the_rest_only(held, process, clock):
    date_renewal(seconds=-21)
    waiting = process("two")
    assert not waiting.acquire()
    clock.now += 10
    assert waiting.acquire()


def test_lease_stays_while_its_holder_renews_it(held, process, clock):
    waiting = process("two")
    for number in range(10):
        assert not waiting.acquire()
        clock.now += RENEW_SECONDS
        assert held.acquire()
        date_renewal(seconds=number)  # the tests' transaction has one time only


@pytest.mark.parametrize("jump", [{"hours": 1}, {"days": 3650}])
def test_lease_renewed_before_the_clock_was_set_back_passes_on_in_time(held, process, clock, jump):
    waiting = process("two")
    date_renewal(**jump)
    assert not waiting.acquire()
    clock.now += lease.LEASE_SECONDS
    assert waiting.acquire()


def test_clock_that_is_set_forward_takes_the_lease_from_nobody(held, process, clock):
    waiting = process("two")
    waiting.acquire()
    clock.now += RENEW_SECONDS
    date_renewal(hours=-1)
    assert not waiting.acquire()


def test_lease_passes_on_at_once_when_released(held, process):
    waiting = process("two")
    waiting.release()
    assert not waiting.acquire()
    held.release()
    assert waiting.acquire()


@pytest.mark.parametrize("off", [-lease.FRESH_SECONDS - 1, lease.FRESH_SECONDS + 1])
def test_housekeeping_is_fresh_only_while_the_lease_is_renewed(process, off):
    assert not lease.is_fresh()
    process("one").acquire()
    assert lease.is_fresh()
    date_renewal(seconds=off)
    assert not lease.is_fresh()


def test_all_jobs_run_at_the_start_even_if_one_fails(loop, ran):
    loop.turn()
    assert ran == ["quick", "daily"]


def test_job_runs_again_after_its_interval_and_not_before(loop, ran, clock):
    loop.turn()
    loop.turn()
    assert ran.count("quick") == 1
    clock.now += 1
    loop.turn()
    assert (ran.count("quick"), ran.count("daily")) == (2, 1)


def test_missed_runs_are_not_made_up_for(loop, ran, clock):
    loop.turn()
    clock.now += 100
    loop.turn()
    assert ran.count("quick") == 2


def test_pause_lasts_until_the_next_job(loop):
    assert loop.turn() == pytest.approx(1.0)


def test_process_without_the_lease_stands_by(loop, ran, process):
    process("another").acquire()
    assert loop.turn() == RENEW_SECONDS
    assert ran == []


def test_standing_by_ends_when_the_other_is_silent(loop, ran, clock, process):
    process("another").acquire()
    loop.turn()
    clock.now += lease.LEASE_SECONDS
    loop.turn()
    assert "quick" in ran


def test_process_whose_jobs_stand_still_is_not_on_time(loop, clock):
    loop.turn()
    clock.now += 10
    assert loop.is_on_time()
    clock.now += 2  # quick was due a second after the turn, and ten are too late
    assert not loop.is_on_time()
    loop.turn()
    assert loop.is_on_time()


def test_rare_job_may_be_late_by_three_of_its_intervals(clock):
    loop = HousekeepingLoop(get_jobs=lambda: [Job("rare", 60, lambda: None)], clock=clock)
    loop.turn()
    clock.now += 60 + 180
    assert loop.is_on_time()
    clock.now += 1
    assert not loop.is_on_time()


def test_process_that_stands_by_is_on_time(loop, clock, process):
    process("another").acquire()
    loop.turn()
    clock.now += 3600
    assert loop.is_on_time()


def test_runs_are_reported_with_the_renewal(loop, clock):
    loop.turn()
    clock.now += RENEW_SECONDS
    loop.turn()
    runs = {run.name: run for run in JobRun.objects.all()}
    assert runs["quick"].error == ""
    assert runs["broken"].failures == 1
    assert "ZeroDivisionError" in runs["broken"].error


def test_broken_database_is_survived(loop, monkeypatch):
    def fail():
        raise DatabaseError("gone")

    monkeypatch.setattr(loop.lease, "acquire", fail)
    assert loop._guarded_turn() == RENEW_SECONDS


@pytest.mark.django_db(transaction=True)
def test_thread_works_until_stopped_and_gives_the_lease_up(ran):
    import threading

    done = threading.Event()
    loop = HousekeepingLoop(get_jobs=lambda: [Job("once", 3600, done.set)])
    loop.start()
    assert done.wait(10)
    loop.stop()
    assert not Lease.objects.exists()
