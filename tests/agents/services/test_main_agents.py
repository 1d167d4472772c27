"""Drain, resume, revoke, change: audited, announced, refused where they make no sense."""

from __future__ import annotations

import pytest

from agents import credentials, fleet, hot
from agents.models import Agent
from agents.services import agent_service, sub_agents
from agents.services.main_agents import (
    drain_agent,
    pause_agent,
    resume_agent,
    revoke_agent,
    update_agent,
)
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict, Invalid, NotFound
from tests.agents import wire

pytestmark = pytest.mark.django_db


def test_drained_host_is_marked_and_audited(agent, principal):
    drain_agent(agent, by=principal, reason="new disk")
    assert (agent.refresh_from_db(), agent.is_draining, agent.drain_reason)[1:] == (
        True,
        "new disk",
    )
    entry = AuditEvent.objects.get(action="agent.drain")
    assert (entry.actor, entry.object_id) == ("alice", agent.id)


def test_resumed_host_takes_tasks_again(agent):
    resume_agent(drain_agent(agent, by="x"), by="x")
    assert not fleet.hosts_of("default")[0].is_draining


def test_paused_host_is_drained_too_until_it_is_resumed_or_only_drained(agent):
    pause_agent(agent, by="x", reason="moves to another rack")
    assert fleet.hosts_of("default")[0].is_draining
    assert (agent.is_paused, agent.drain_reason) == (True, "moves to another rack")
    drain_agent(agent, by="x")
    assert (agent.is_draining, agent.is_paused, agent.drain_reason) == (True, False, "")
    resume_agent(pause_agent(agent, by="x"), by="x", reason="it is there")
    assert (agent.is_draining, agent.is_paused, agent.drain_reason) == (False, False, "")
    reasons = [
        (entry.action, entry.detail.get("reason", ""))
        for entry in AuditEvent.objects.filter(object_id=agent.id).order_by("id")
    ]
    assert reasons == [
        ("agent.pause", "moves to another rack"),
        ("agent.drain", ""),
        ("agent.pause", ""),
        ("agent.resume", "it is there"),
    ]


def test_matcher_sees_a_drained_host_at_once(agent):
    assert not fleet.hosts_of("default")[0].is_draining
    drain_agent(agent, by="x")
    assert fleet.hosts_of("default")[0].is_draining


def test_revoked_host_leaves_the_fleet_and_stays_for_the_record(agent):
    revoke_agent(agent, by="x")
    assert fleet.hosts_of("default") == []
    assert Agent.objects.get().revoked_at


def test_revoked_credential_is_refused(enrol):
    agent, token = enrol()
    revoke_agent(agent, by="x")
    assert credentials.look_up(token) == "revoked_token"


@pytest.mark.parametrize("verb", [revoke_agent, drain_agent, resume_agent])
def test_revoked_host_cannot_be_changed(agent, verb):
    revoke_agent(agent, by="x")
    with pytest.raises(Conflict) as caught:
        verb(agent, by="x")
    assert caught.value.code == ("already_revoked" if verb is revoke_agent else "revoked")


@pytest.mark.parametrize("verb", [revoke_agent, drain_agent, resume_agent])
def test_sub_agent_is_no_host(agent, verb):
    sub = agent_service.create_sub_agent(agent.id, 7, "train")
    with pytest.raises(NotFound):
        verb(sub, by="x")


def test_only_name_and_labels_can_be_changed(agent):
    assert update_agent(agent, by="x", name="gpu-1", labels={"a": "b"}).name == "gpu-1"
    with pytest.raises(Invalid) as caught:
        update_agent(agent, by="x", tenant_id="other")
    assert list(caught.value.fields) == ["tenant_id"]


def test_revoked_host_keeps_its_name(agent):
    revoke_agent(agent, by="x")
    with pytest.raises(Conflict):
        update_agent(agent, by="x", name="new")
    assert Agent.objects.get().name == agent.name


def test_agent_of_another_tenant_is_not_found(agent):
    assert agent_service.get_agent(agent.id, tenant_id="default") == agent
    with pytest.raises(NotFound):
        agent_service.get_agent(agent.id, tenant_id="other")


def test_resources_are_available_on_an_online_host_only(agent, speaker):
    assert not agent_service.has_available_resources(agent)
    Agent.objects.update(status="online", cpu_cores=4)
    fleet.clear()
    agent.refresh_from_db()
    assert agent_service.has_available_resources(agent, cpu_cores=4)
    assert not agent_service.has_available_resources(agent, cpu_cores=5)
    assert not agent_service.has_available_resources(agent, gpu_count=1)


async def test_heartbeat_is_handled_under_its_known_name(speaker, registry, monkeypatch):
    monkeypatch.setattr("agents.inbox.installation_id", lambda: "x")
    monkeypatch.setattr("agents.inbox._is_due", lambda *args: False)
    answer = await agent_service.handle_heartbeat(speaker, wire.beat(speaker.agent_id))
    assert len(answer.acks) == 1
    assert hot.snapshot(speaker.agent_id).resources.cpu_usage == 12.5


# --- sub-agents ---------------------------------------------------------------


def test_sub_agent_lives_from_start_to_end_of_its_task(agent):
    sub_agents.open_sub_agent(agent.id, 7, "train")
    row = agent_service.get_all_agents(tenant_id="default")[0].running_sub_agents[0]
    assert (row.id, row.task_id, row.main_agent_id) == (f"{agent.id}/7", 7, agent.id)
    sub_agents.close_sub_agent(agent.id, 7)
    assert agent_service.get_all_agents(tenant_id="default")[0].running_sub_agents == []


def test_start_told_twice_makes_one_row(agent):
    for _ in range(2):
        sub_agents.open_sub_agent(agent.id, 7, "train")
    assert Agent.objects.running().count() == 1


def test_start_leaves_every_other_column_at_its_default(agent):
    sub_agents.open_sub_agents([sub_agents.StartedTask(agent.id, "default", 7, "train", 4)])
    row, blank = Agent.objects.get(task_id=7), Agent()
    assert (row.name, row.cpu_cores, row.online_since) == ("train", 4, row.created_time)
    for name in ("labels", "script_types", "gpu_info", "is_draining", "epoch", "revoked_at"):
        assert getattr(row, name) == getattr(blank, name)


def test_end_told_twice_keeps_the_time_of_the_first(agent):
    sub_agents.open_sub_agent(agent.id, 7, "train")
    sub_agents.close_sub_agent(agent.id, 7)
    ended_at = Agent.objects.get(task_id=7).last_heartbeat_time
    sub_agents.close_sub_agent(agent.id, 7)
    assert Agent.objects.get(task_id=7).last_heartbeat_time == ended_at


def test_end_of_an_unknown_task_is_ignored(agent):
    sub_agents.close_sub_agent(agent.id, 99)
    sub_agents.close_sub_agent("a-0000000000", 99)
    assert not Agent.objects.filter(type="sub").exists()


def test_starts_of_many_tasks_are_written_together(agent, django_assert_max_num_queries):
    started = [sub_agents.StartedTask(agent.id, "default", n, "t") for n in range(100)]
    with django_assert_max_num_queries(10):
        sub_agents.open_sub_agents(started)
    assert Agent.objects.running().count() == 100


def test_ended_sub_agents_are_deleted_after_a_day(agent):
    for task_id in (1, 2, 3):
        sub_agents.open_sub_agent(agent.id, task_id, "t")
    ended = [sub_agents.EndedTask(agent.id, "default", task_id) for task_id in (1, 2)]
    sub_agents.close_sub_agents(ended)
    Agent.objects.filter(task_id=1).update(last_heartbeat_time="2020-01-01T00:00Z")
    assert sub_agents.delete_old_sub_agents() == 1
    assert set(Agent.objects.filter(type="sub").values_list("task_id", flat=True)) == {2, 3}
