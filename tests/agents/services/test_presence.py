"""Online with the first beat, offline after the silence, never because of a clock or a restart."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Capacity, Hello
from agents import database_clock, hot, housekeeping, pace, probe_duty
from agents.inbox_batch import Submission, run_batch
from agents.inbox_registry import Registry
from agents.models import Agent
from agents.services import presence
from agents.services.main_agents import revoke_agent, update_agent
from tests.agents import wire

pytestmark = pytest.mark.django_db


@pytest.fixture
def registry() -> Registry:
    """Return a registry with this app's own handlers."""
    registry = Registry()
    registry.register(Hello, presence.greet)
    registry.register_beat(presence.show_online)
    return registry


class Clocks:
    """The database's clock and the process's own, moved by hand."""

    def __init__(self) -> None:
        self.wall, self.steady = timezone.now(), 1_000.0

    def advance(self, seconds: float) -> None:
        """Let time pass on both."""
        self.wall += timedelta(seconds=seconds)
        self.steady += seconds


@pytest.fixture
def clocks(monkeypatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(database_clock, "now", lambda: clocks.wall)
    monkeypatch.setattr(presence.time, "monotonic", lambda: clocks.steady)
    presence.restart_grace()
    return clocks


@pytest.fixture
def online(agent, clocks) -> Agent:
    """Return a host whose last beat was just now."""
    Agent.objects.update(status="online", last_heartbeat_time=clocks.wall, online_since=clocks.wall)
    return agent


def greet(registry: Registry, speaker, **fields) -> Submission:
    """Run a hello through the inbox."""
    hello = wire.hello(speaker.agent_id, **fields)
    submission = Submission(speaker, (hello,), hello, hello.holds, reconcile=True)
    run_batch(registry, [submission])
    return submission


def test_each_hello_gets_a_higher_epoch(registry, speaker):
    assert [greet(registry, speaker).reply.epoch for _ in range(3)] == [1, 2, 3]


def test_hello_fills_the_row(registry, speaker):
    capacity = Capacity(cpu_cores=8, memory_bytes=5, slots=3, script_types=("shell",))
    greet(registry, speaker, capacity=capacity, system={"os": "Linux"}, labels={"gpu": "a100"})
    row = Agent.objects.get()
    assert (row.cpu_cores, row.slots, row.script_types) == (8, 3, ["shell"])
    assert (row.system, row.labels, row.boot_id) == ({"os": "Linux"}, {"gpu": "a100"}, "b-1")
    assert (row.status, row.online_since is not None, row.token_used) == ("online", True, True)


def test_hostile_facts_are_bounded(registry, speaker):
    deep: dict = {}
    for _ in range(50):
        deep = {"a": deep}
    system = {"deep": deep, "long": "x" * 10_000, "nul": "a\0b"}
    greet(registry, speaker, system=system, version="v" * 500)
    row = Agent.objects.get()
    assert len(row.system["long"]) == 512
    assert row.system["nul"] == "ab"
    assert len(row.version) == 32


def test_labels_of_the_enrolment_stay(registry, speaker):
    Agent.objects.update(labels={"site": "a"}, given_labels={"site": "a"})
    greet(registry, speaker, labels={"gpu": "b"})
    assert Agent.objects.get().labels == {"site": "a", "gpu": "b"}


def test_label_that_the_host_says_no_more_is_gone(registry, speaker):
    greet(registry, speaker, labels={"gpu": "b", "zone": "lab"})
    greet(registry, speaker, labels={"gpu": "b"})
    row = Agent.objects.get()
    assert (row.labels, row.host_labels, row.given_labels) == ({"gpu": "b"}, {"gpu": "b"}, {})


def test_label_given_here_wins_over_the_hosts_until_it_is_taken_away(registry, speaker, agent):
    greet(registry, speaker, labels={"gpu": "b"})
    update_agent(agent, by="x", labels={"gpu": "a100"})
    greet(registry, speaker, labels={"gpu": "b"})
    assert Agent.objects.get().labels == {"gpu": "a100"}
    update_agent(agent, by="x", labels={})
    assert Agent.objects.get().labels == {"gpu": "b"}


def test_labels_of_a_hello_ring_for_probes_only_when_they_change(registry, speaker, monkeypatch):
    rung: list[str] = []
    monkeypatch.setattr(probe_duty, "hosts_changed", rung.append)
    for _connection in range(2):
        greet(registry, speaker, labels={"gpu": "b"})
    assert rung == ["default"]


def test_hello_of_a_deleted_host_is_refused(registry, speaker):
    Agent.objects.all().delete()
    assert greet(registry, speaker).reply.errors[0].code == "unknown_agent"


def test_beat_of_an_offline_host_shows_it_online(registry, speaker):
    beat = wire.beat(speaker.agent_id)
    run_batch(registry, [Submission(speaker, (), beat, None, reconcile=True)])
    assert Agent.objects.get().status == "online"


def test_beat_never_brings_a_revoked_host_back(registry, agent, speaker):
    revoke_agent(agent, by="x")
    beat = wire.beat(speaker.agent_id)
    run_batch(registry, [Submission(speaker, (), beat, None, reconcile=True)])
    assert Agent.objects.get().status == "offline"


def silence_until_offline(clocks, step_seconds: float = 0.5) -> float:
    """Let time pass until the one host is offline, and return how long it was silent."""
    for step in range(100):
        if presence.mark_silent_agents():
            return step * step_seconds
        clocks.advance(step_seconds)
    raise AssertionError("never offline")


def test_silent_host_goes_offline_within_ten_seconds(online, clocks):
    clocks.advance(10)  # the grace of the start is over
    Agent.objects.update(last_heartbeat_time=clocks.wall)
    silence = silence_until_offline(clocks)
    slack = housekeeping.SILENCE_CHECK_SECONDS
    assert 2 * 2.0 < silence <= 10 - slack


def test_silence_ends_the_running_time(online, clocks):
    clocks.advance(10)
    presence.mark_silent_agents()
    online.refresh_from_db()
    assert (online.status, online.online_since) == ("offline", None)


def test_nobody_is_judged_within_a_window_of_the_start(online, clocks):
    Agent.objects.update(last_heartbeat_time=clocks.wall - timedelta(hours=1))
    assert presence.mark_silent_agents() == []
    clocks.advance(10)
    assert presence.mark_silent_agents() == [online.id]


def test_jump_of_the_clock_marks_nobody(online, clocks):
    clocks.advance(60)
    Agent.objects.update(last_heartbeat_time=clocks.wall)
    assert presence.mark_silent_agents() == []
    clocks.wall += timedelta(hours=1)
    assert presence.mark_silent_agents() == []
    Agent.objects.update(last_heartbeat_time=clocks.wall)
    clocks.advance(5)
    assert presence.mark_silent_agents() == []


@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=3650)])
def test_host_that_dies_after_the_clock_was_set_back_goes_offline(online, clocks, jump):
    clocks.advance(10)
    Agent.objects.update(last_heartbeat_time=clocks.wall + jump, online_since=clocks.wall + jump)
    presence.mark_silent_agents()
    online.refresh_from_db()
    assert (online.last_heartbeat_time, online.online_since) == (clocks.wall, clocks.wall)
    assert silence_until_offline(clocks) <= 10


def test_beat_that_is_only_just_ahead_is_left_alone(online, clocks):
    """Another process may have written between this one's look at the clock and the row."""
    ahead = clocks.wall + database_clock.TOLERANCE
    Agent.objects.update(last_heartbeat_time=ahead)
    presence.mark_silent_agents()
    online.refresh_from_db()
    assert online.last_heartbeat_time == ahead


def test_host_whose_beats_wait_for_a_flush_is_not_silent(online, speaker, clocks, monkeypatch):
    clocks.advance(60)
    monkeypatch.setattr(hot.time, "monotonic", lambda: clocks.steady)
    hot.note_beat(speaker, wire.beat(online.id))
    assert presence.mark_silent_agents() == []


@pytest.mark.parametrize(("fleet", "seconds"), [(1, 2), (500, 2), (10_000, 5), (10**6, 30)])
def test_interval_grows_with_the_fleet(fleet, seconds):
    assert pace.interval_for(fleet) == seconds


@pytest.mark.parametrize(("interval", "seconds"), [(2, 10), (5, 15), (30, 90)])
def test_silence_is_three_intervals_and_at_least_ten_seconds(interval, seconds):
    assert pace.silence_for(interval) == seconds
