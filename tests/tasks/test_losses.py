"""A task is given up when its host was silent for too long, and never because a clock was set."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Hold
from tasks.choices import FAILED, RUNNING
from tasks.services import losses
from tasks.silence import SilenceWatch
from tests.tasks.conftest import fresh

pytestmark = pytest.mark.django_db

HOUR = 3600


class Rounds:
    """The periodic job of one server process, with clocks moved by hand."""

    def __init__(self, monkeypatch) -> None:
        """Start now."""
        self.tick, self.wall = 1_000.0, timezone.now()
        self.watch = SilenceWatch()
        monkeypatch.setattr(losses.database_clock, "now", lambda: self.wall)

    def __call__(self, *, after_seconds: float = 0.0) -> int:
        """Make a round after some time; returns how many tasks were given up."""
        self.tick += after_seconds
        self.wall += timedelta(seconds=after_seconds)
        return losses.give_up_lost_agents(clock=lambda: self.tick, watch=self.watch)

    def after_the_grace(self) -> int:
        """Make the first round and the first one behind the grace of the start."""
        return self() + self(after_seconds=120)


@pytest.fixture
def rounds(monkeypatch) -> Rounds:
    return Rounds(monkeypatch)


def silence(host, *, seconds: float) -> None:
    """Make a host offline since some time."""
    since = timezone.now() - timedelta(seconds=seconds)
    type(host.agent).objects.filter(pk=host.agent.pk).update(
        status="offline", last_heartbeat_time=since
    )


def test_task_is_given_up_when_its_host_is_silent_for_too_long(host, submit, rounds):
    task = host.run(submit())
    silence(host, seconds=25 * HOUR)
    assert rounds.after_the_grace() == 1
    assert (fresh(task).state, fresh(task).reason) == (FAILED, "agent_lost")


def test_task_is_kept_while_its_host_may_come_back(host, submit, rounds):
    task = host.run(submit())
    silence(host, seconds=23 * HOUR)
    assert rounds.after_the_grace() == 0
    assert fresh(task).state == RUNNING


def test_no_task_is_given_up_right_after_a_server_start(host, submit, rounds):
    host.run(submit())
    silence(host, seconds=25 * HOUR)
    assert rounds() + rounds(after_seconds=119) == 0


def test_grace_of_a_start_is_a_setting(host, submit, rounds, settings):
    settings.LOST_GRACE_SECONDS = 0
    host.run(submit())
    silence(host, seconds=25 * HOUR)
    assert rounds() == 1


@pytest.mark.parametrize("days", [1, 3650])
def test_jump_of_the_clock_gives_up_no_task(host, submit, rounds, days):
    task = host.run(submit())
    rounds.after_the_grace()
    silence(host, seconds=60)
    rounds(after_seconds=5)
    rounds.wall += timedelta(days=days)
    assert rounds(after_seconds=5) == 0
    assert fresh(task).state == RUNNING


def test_clock_that_was_set_back_delays_no_loss(host, submit, rounds):
    task = host.run(submit())
    type(task).objects.update(lost_after_seconds=60)
    rounds.after_the_grace()
    silence(host, seconds=0)
    rounds(after_seconds=5)
    rounds.wall -= timedelta(days=3650)
    assert rounds(after_seconds=61) == 1


def test_host_that_comes_back_meanwhile_keeps_its_task(host, submit, rounds, monkeypatch):
    task = host.run(submit())
    silence(host, seconds=25 * HOUR)
    lock = losses.lock_tasks

    def come_back_first(ids):
        type(host.agent).objects.update(status="online")
        return lock(ids)

    monkeypatch.setattr(losses, "lock_tasks", come_back_first)
    assert rounds.after_the_grace() == 0
    assert fresh(task).state == RUNNING


def test_host_that_returns_after_the_end_stops_the_task(host, submit, rounds):
    task = host.run(submit())
    silence(host, seconds=25 * HOUR)
    rounds.after_the_grace()
    reply = host.beat(Hold(task_id=task.pk, offer=task.offer, state="running"))
    assert [(one.task_id, one.want) for one in reply.desired] == [(task.pk, "cancel")]


def test_late_result_is_kept_as_an_event_only(host, submit, rounds):
    task = host.run(submit())
    silence(host, seconds=25 * HOUR)
    rounds.after_the_grace()
    host.finish(task)
    assert fresh(task).state == FAILED
    assert task.events.filter(kind="late_result").exists()
