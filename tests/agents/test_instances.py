"""A second copy of a host is noticed, also when the first one speaks to another process."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agents import delivery, hot, instances
from agents.instances import NOBODY, Stored
from agents.models import Agent
from tests.agents import wire

FRESH, OLD = 1.0, 60.0


def beat_here(speaker, instance_id: str) -> None:
    """Let an instance speak to this process."""
    hot.note_beat(speaker, wire.beat(speaker.agent_id, instance_id=instance_id))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("elsewhere", "is_other"),
    [
        (Stored("i-1", FRESH), True),
        (Stored("i-1", OLD), False),
        (Stored("i-2", FRESH), False),
        (Stored("", FRESH), False),
        (NOBODY, False),
    ],
)
def test_host_that_is_unknown_here_is_judged_by_its_row(speaker, elsewhere, is_other):
    assert instances.is_other_alive(speaker, "i-2", elsewhere) is is_other


@pytest.mark.django_db
def test_host_that_speaks_here_is_not_judged_by_its_row(speaker):
    """Its row may lag: this process writes it every two seconds."""
    beat_here(speaker, "i-2")
    assert not instances.is_other_alive(speaker, "i-2", Stored("i-1", FRESH))
    assert instances.is_other_alive(speaker, "i-1", NOBODY)


@pytest.mark.django_db
def test_host_that_does_not_say_which_it_is_is_taken(speaker):
    beat_here(speaker, "i-1")
    assert not instances.is_other_alive(speaker, "", Stored("i-1", FRESH))


@pytest.mark.django_db(transaction=True)
async def test_row_is_read_with_several_processes_only(enrolled, monkeypatch):
    agent = enrolled[0]
    speaker = instances.AgentPrincipal(agent.id, agent.tenant_id)
    seen = timezone.now() - timedelta(seconds=30)
    await Agent.objects.aupdate(instance_id="i-1", last_heartbeat_time=seen)
    assert await instances.stored(speaker) is NOBODY
    monkeypatch.setattr(instances.relay, "is_enabled", lambda: True)
    name, age_seconds = await instances.stored(speaker)
    assert (name, 30 <= age_seconds < 300) == ("i-1", True)
    await Agent.objects.aupdate(last_heartbeat_time=None)
    assert await instances.stored(speaker) is NOBODY


@pytest.mark.django_db
def test_conflict_at_another_process_is_shown_here(speaker):
    beat_here(speaker, "i-1")
    delivery.on_conflict({"agent_id": speaker.agent_id, "address": "192.0.2.1"})
    assert hot.snapshot(speaker.agent_id).has_conflict
