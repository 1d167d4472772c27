"""From results and silence to states, incidents and events: each result counts once."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from agents.models import Agent
from agents.services.main_agents import pause_agent, resume_agent
from tasks.probes import events
from tasks.probes.models import FollowCursor, Incident, Location, MaintenanceWindow, Probe
from tasks.probes.services import states
from tasks.probes.services.probes import update_probe
from tests.tasks.probes.conftest import bring, result


@pytest.fixture
def told(monkeypatch) -> list[events.ProbeChange]:
    """Collect what listeners hear."""
    heard: list[events.ProbeChange] = []
    monkeypatch.setattr(events, "_listeners", [heard.append])
    return heard


def run(agent: Agent, probe: Probe, *outcomes: str, **facts) -> Probe:
    """Bring results half a minute apart, the last one now, and judge them."""
    now = time.time()
    many = len(outcomes)
    for number, outcome in enumerate(outcomes, 1):
        started = now - (many - number) * 30
        bring(agent, result(probe, outcome, started_at=started, **facts))
    states.follow()
    probe.refresh_from_db()
    return probe


def test_probe_goes_down_and_comes_back_with_an_incident(agent, probe, told):
    run(agent, probe, "up")
    run(agent, probe, "down", "down", reason="refused", error="connection refused")
    incident = Incident.objects.get()
    assert (probe.state, incident.reason, incident.ended_at) == ("down", "refused", None)
    assert incident.locations == [agent.pk]
    run(agent, probe, "up")
    incident.refresh_from_db()
    assert (probe.state, incident.ended_by) == ("up", "recovered")
    assert [(one.old, one.new) for one in told] == [
        ("pending", "up"),
        ("up", "down"),
        ("down", "up"),
    ]
    assert told[1].incident == incident == told[2].incident


def test_first_failure_only_makes_suspect(agent, probe):
    assert run(agent, probe, "up", "down").state == "suspect"
    assert not Incident.objects.exists()


def test_prober_errors_and_missed_runs_are_no_downtime(agent, probe):
    assert run(agent, probe, "up", "error", "error", "missed", "missed").state == "up"
    location = Location.objects.get()
    assert (location.executed, location.missed) == (3, 2)


def test_location_shows_the_newest_executed_run(agent, probe):
    run(agent, probe, "up", "degraded", reason="slow", details={"status": 200})
    location = Location.objects.get()
    assert (location.last_outcome, location.last_reason) == ("degraded", "slow")
    assert location.last_details == {"status": 200}


def test_following_twice_counts_nothing_twice(agent, probe):
    run(agent, probe, "down")
    assert states.follow() == 0
    assert Location.objects.get().failures == 1


def test_crash_before_the_commit_is_made_up_for(agent, probe, monkeypatch):
    def crash(*_args):
        raise RuntimeError("killed")

    bring(agent, result(probe, "down"), result(probe, "down"))
    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(states, "decide", crash)
        states.follow()
    assert not Location.objects.exists()
    states.follow()
    assert (Location.objects.get().failures, Incident.objects.count()) == (2, 1)


def test_majority_of_locations_decides(agent, new_agent, probe):
    others = [new_agent("b"), new_agent("c")]
    for host in (agent, *others):
        run(host, probe, "up")
    assert run(agent, probe, "down", "down").state == "degraded"
    assert run(others[0], probe, "down", "down").state == "down"


def test_offline_host_makes_unknown_and_not_down(agent, probe, told):
    run(agent, probe, "up")
    Agent.objects.update(status="offline")
    states.watch_silence()
    probe.refresh_from_db()
    assert (probe.state, Incident.objects.count()) == ("unknown", 0)


def test_location_of_a_paused_host_rests_and_begins_anew(agent, probe, told):
    run(agent, probe, "up", "down", "down")
    pause_agent(agent, by="x")
    states.watch_silence()
    probe.refresh_from_db()
    assert (Location.objects.get().state, probe.state) == ("paused", "paused")
    # Long after: nothing was expected, so nothing is missing.
    Location.objects.update(seen_at=timezone.now() - timedelta(days=1))
    Agent.objects.update(status="offline")
    assert states.watch_silence() == 0
    Agent.objects.update(status="online")
    resume_agent(agent, by="x")
    states.watch_silence()
    states.watch_silence()
    assert Location.objects.get().state == "pending"
    assert run(agent, probe, "up").state == "up"
    assert Location.objects.get().missed == 0


def test_resting_location_has_no_voice(agent, new_agent, probe):
    other = new_agent("other")
    run(other, probe, "up")
    run(agent, probe, "down", "down")
    assert probe.state == "degraded"
    pause_agent(agent, by="x")
    states.watch_silence()
    probe.refresh_from_db()
    assert probe.state == "up"


def test_silent_location_becomes_unknown(agent, probe):
    bring(agent, result(probe, started_at=time.time() - 300))
    states.follow()
    states.watch_silence()
    assert Location.objects.get().state == "unknown"


def test_unknown_leaves_an_incident_open(agent, probe):
    run(agent, probe, "down", "down")
    Agent.objects.update(status="offline")
    states.watch_silence()
    assert Incident.objects.get().ended_at is None


def test_pause_closes_the_incident_and_keeps_results_out(agent, probe, principal):
    run(agent, probe, "down", "down")
    bring(agent, result(probe, "down"))
    update_probe(probe, by=principal, fields={"enabled": False})
    states.follow()
    probe.refresh_from_db()
    assert (probe.state, Incident.objects.get().ended_by) == ("paused", "paused")


def test_maintenance_keeps_quiet_and_ends_by_itself(agent, probe, tenant, told):
    now = timezone.now()
    window = MaintenanceWindow.objects.create(
        tenant=tenant,
        name="w",
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=1),
    )
    assert run(agent, probe, "down", "down").state == "maintenance"
    assert (told[-1].suppressed_by, Incident.objects.count()) == ("maintenance", 0)
    window.delete()
    states.watch_silence()
    probe.refresh_from_db()
    assert (probe.state, Incident.objects.count()) == ("down", 1)


def test_child_of_a_probe_that_is_down_keeps_quiet(agent, new_probe, told):
    parent = new_probe(name="router")
    child = new_probe(name="host", parents=[parent.pk])
    for probe in (child, parent):
        bring(agent, result(probe, "down"), result(probe, "down"))
    states.follow()
    quiet = {one.probe.pk: one.suppressed_by for one in told if one.new == "down"}
    assert quiet == {parent.pk: "", child.pk: f"probe:{parent.pk}"}


def test_listener_that_fails_does_not_lose_the_state(agent, probe, monkeypatch):
    def fail(_change):
        raise RuntimeError("no")

    monkeypatch.setattr(events, "_listeners", [fail])
    assert run(agent, probe, "up").state == "up"


def test_host_that_runs_it_no_longer_leaves_no_location(agent, new_agent, probe, principal):
    other = new_agent("other")
    run(agent, probe, "up"), run(other, probe, "up")
    update_probe(probe, by=principal, fields={"agents": [other.pk]})
    assert [one.agent_id for one in Location.objects.all()] == [other.pk]


def test_reads_and_writes_follow_locations_and_not_results(
    agent, probe, django_assert_max_num_queries
):
    run(agent, probe, "up")
    bring(agent, *(result(probe) for _ in range(300)))
    with django_assert_max_num_queries(25):
        states.follow()
    assert Location.objects.get().executed == 301
    assert FollowCursor.objects.get(name=states.NAME).last_id > 0
