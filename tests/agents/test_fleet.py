"""The fleet as the matcher sees it: memory before rows, fresh within a second."""

from __future__ import annotations

import pytest

from agent_client.protocol.messages import Capacity, ForeignProcess, Gpu, Resources
from agents import fleet, hot
from agents.models import Agent
from tests.agents import wire

pytestmark = pytest.mark.django_db

GPU = Gpu(
    uuid="GPU-1",
    index=0,
    memory_used=10,
    memory_total=40,
    foreign=(ForeignProcess(pid=1, memory_mb=3), ForeignProcess(pid=2, memory_mb=4)),
)


def test_row_is_used_while_memory_knows_nothing(agent):
    stored = {"uuid": "GPU-1", "index": 0, "memory_total": 40, "foreign": [{"memory_mb": 7}]}
    Agent.objects.update(cpu_cores=4, slots=2, gpu_info=[stored], status="online")
    (facts,) = fleet.hosts_of("default")
    assert (facts.cpu_cores, facts.slots, facts.is_online, facts.connected) == (4, 2, True, False)
    assert (facts.gpus[0].total_mb, facts.gpus[0].foreign_mb) == (40, 7)


def test_memory_is_newer_than_the_row(agent, speaker):
    Agent.objects.update(cpu_cores=4, slots=2)
    capacity = Capacity(cpu_cores=8, memory_bytes=1, slots=1, script_types=("shell",))
    hot.note_beat(speaker, wire.beat(agent.id, capacity=capacity, gpus=(GPU,)))
    (facts,) = fleet.hosts_of("default")
    assert (facts.cpu_cores, facts.slots, facts.script_types) == (8, 1, {"shell"})
    assert (facts.gpus[0].used_mb, facts.gpus[0].foreign_mb) == (10, 7)


def test_rows_are_read_once_a_second_however_often_asked(agent, django_assert_num_queries):
    with django_assert_num_queries(1):
        for _ in range(100):
            fleet.hosts_of("default")


def test_rows_are_read_again_after_a_second(agent, monkeypatch):
    fleet.hosts_of("default")
    Agent.objects.update(cpu_cores=9)
    now = fleet.time.monotonic()
    monkeypatch.setattr(fleet.time, "monotonic", lambda: now + fleet.MAX_AGE_SECONDS)
    assert fleet.hosts_of("default")[0].cpu_cores == 9


def test_hosts_of_another_tenant_are_not_seen(agent, other_tenant, enrol):
    theirs, _ = enrol("theirs", "other")
    assert [facts.agent_id for facts in fleet.hosts_of("default")] == [agent.id]
    assert [facts.agent_id for facts in fleet.hosts_of("other")] == [theirs.id]


def test_sub_agents_are_no_hosts(agent):
    Agent.objects.create(id=f"{agent.id}/1", tenant_id="default", name="t", type="sub")
    assert len(fleet.hosts_of("default")) == 1


def test_loaded_host_offers_only_the_slots_it_allows_itself(agent, speaker):
    capacity = Capacity(cpu_cores=8, memory_bytes=1, slots=5, script_types=("shell",))
    lowered = Resources(adaptive_factor=0.4, slots_allowed=2)
    hot.note_beat(speaker, wire.beat(agent.id, capacity=capacity, resources=lowered))
    assert fleet.hosts_of("default")[0].slots == 2
