"""One process does the periodic work; a failing job harms no other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError
from django.utils import timezone

from dialer_platform.housekeeping import Job, lease
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


def make_stale() -> None:
    """Let the lease be older than its life."""
    old = timezone.now() - timedelta(seconds=lease.LEASE_SECONDS + 1)
    Lease.objects.update(renewed_at=old)


def test_first_process_gets_the_lease_and_the_second_waits():
    assert lease.acquire("one")
    assert not lease.acquire("two")
    assert lease.acquire("one")


def test_lease_passes_on_when_its_holder_is_silent():
    lease.acquire("one")
    make_stale()
    assert lease.acquire("two")
    assert not lease.acquire("one")


def test_lease_passes_on_at_once_when_released():
    lease.acquire("one")
    lease.release("two")
    assert not lease.acquire("two")
    lease.release("one")
    assert lease.acquire("two")


def test_housekeeping_is_fresh_only_while_the_lease_is_renewed():
    assert not lease.is_fresh()
    lease.acquire("one")
    assert lease.is_fresh()
    old = timezone.now() - timedelta(seconds=lease.FRESH_SECONDS + 1)
    Lease.objects.update(renewed_at=old)
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


def test_process_without_the_lease_stands_by(loop, ran):
    lease.acquire("another")
    assert loop.turn() == RENEW_SECONDS
    assert ran == []


def test_standing_by_ends_when_the_other_is_silent(loop, ran, clock):
    lease.acquire("another")
    loop.turn()
    make_stale()
    clock.now += RENEW_SECONDS
    loop.turn()
    assert "quick" in ran


def test_runs_are_reported_with_the_renewal(loop, clock):
    loop.turn()
    clock.now += RENEW_SECONDS
    loop.turn()
    runs = {run.name: run for run in JobRun.objects.all()}
    assert runs["quick"].error == ""
    assert runs["broken"].failures == 1
    assert "ZeroDivisionError" in runs["broken"].error


def test_broken_database_is_survived(loop, monkeypatch):
    def fail(holder):
        raise DatabaseError("gone")

    monkeypatch.setattr(lease, "acquire", fail)
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
