"""A host as pages and REST show it: memory over row, zero over guesses."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Gpu, SubAgent
from agents import hot
from agents import portrait as portrait_module
from agents.models import Agent
from agents.portrait import portrait, portraits
from agents.services.sub_agents import StartedTask, open_sub_agents
from tests.agents import wire

pytestmark = pytest.mark.django_db


def shown(**changes):
    """Change the one host and return its portrait."""
    Agent.objects.filter(type="main").update(**changes)
    return portraits(Agent.objects.hosts().with_running_sub_agents())[0]


def test_silent_host_is_shown_as_its_row_says(agent):
    facts = shown(cpu_usage=7.0, gpu_info=[{"uuid": "GPU-1"}], thread_pool={"max_workers": 3})
    assert (facts.cpu_usage, facts.is_online, facts.running_time) == (7.0, False, 0.0)
    assert (facts.gpu_info[0]["uuid"], facts.thread_pool["max_workers"]) == ("GPU-1", 3)


def test_running_time_counts_from_the_first_beat(agent):
    since = timezone.now() - timedelta(minutes=5)
    assert shown(status="online", online_since=since).running_time == pytest.approx(300, abs=5)


def test_last_heartbeat_is_the_newer_of_memory_and_row(agent, speaker):
    hot.note_beat(speaker, wire.beat(agent.id))
    old = timezone.now() - timedelta(hours=1)
    assert shown(last_heartbeat_time=old).last_heartbeat_time > old
    new = timezone.now() + timedelta(hours=1)
    assert shown(last_heartbeat_time=new).last_heartbeat_time == new


def test_booked_cores_are_not_available(agent, speaker):
    resources = wire.Resources(cpu_cores_booked=9)
    hot.note_beat(speaker, wire.beat(agent.id, resources=resources))
    assert shown(cpu_cores=8).available_cpu_cores == 0


def test_sub_agent_without_a_sample_is_shown_with_zeros(agent):
    open_sub_agents([StartedTask(agent.id, "default", 7, "train", 4)])
    (sub,) = shown().sub_agents
    assert (sub.agent.task_id, sub.cpu_cores, sub.cpu_usage, sub.gpu_info) == (7, 4, 0.0, [])


def test_sub_agent_shows_its_own_gpus(agent, speaker):
    open_sub_agents([StartedTask(agent.id, "default", 7, "train")])
    sample = SubAgent(task_id=7, offer=1, memory_bytes=5, gpu_info=(Gpu(uuid="GPU-1", index=0),))
    hot.note_beat(speaker, wire.beat(agent.id, sub_agents=(sample,)))
    (sub,) = shown().sub_agents
    assert (sub.memory_bytes, sub.gpu_info[0]["uuid"]) == (5, "GPU-1")


def test_sub_agent_shows_how_far_its_task_is(agent, monkeypatch):
    open_sub_agents([StartedTask(agent.id, "default", number, "train") for number in (7, 8)])
    asked: list[set[int]] = []
    reader = lambda task_ids: asked.append(task_ids) or {7: {"percent": 42.0}}  # noqa: E731
    monkeypatch.setattr(portrait_module, "_progress_readers", [reader])
    seven, eight = shown().sub_agents
    assert (seven.progress, eight.progress) == ({"percent": 42.0}, None)
    assert asked == [{7, 8}]


def test_nobody_is_asked_for_the_progress_of_nothing(agent, monkeypatch):
    monkeypatch.setattr(portrait_module, "_progress_readers", [pytest.fail])
    assert shown().sub_agents == []


def test_conflict_is_shown_for_an_hour(agent, speaker, monkeypatch):
    hot.note_beat(speaker, wire.beat(agent.id))
    hot.note_conflict(speaker.agent_id, "192.0.2.1")
    assert portrait(agent).has_conflict
    later = hot.time.monotonic() + hot.CONFLICT_SHOWN_SECONDS + 1
    monkeypatch.setattr(hot.time, "monotonic", lambda: later)
    assert not portrait(agent).has_conflict
