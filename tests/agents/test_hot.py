"""Hot state: what is remembered of beats, and when it is written."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from agent_client.protocol.digest import holds_digest
from agent_client.protocol.messages import (
    Capacity,
    ForeignProcess,
    Gpu,
    Hold,
    Resources,
    SubAgent,
    ThreadPool,
)
from agents import hot, hot_flush
from agents.models import Agent
from agents.services.main_agents import revoke_agent
from tests.agents import wire

HOLDS = (Hold(task_id=1, offer=1, state="running", log_bytes=5),)
GPU = Gpu(uuid="GPU-1", index=0, name="A100", memory_used=10, memory_total=40)


def test_holds_are_remembered_while_their_digest_stays(speaker_alone):
    hot.note_beat(speaker_alone, wire.beat("a-1", holds=HOLDS))
    same = wire.beat("a-1", holds_digest=holds_digest(HOLDS))
    assert hot.note_beat(speaker_alone, same) == HOLDS


def test_holds_are_unknown_when_the_digest_moved(speaker_alone):
    hot.note_hello(speaker_alone, wire.hello("a-1", holds=HOLDS))
    assert hot.note_beat(speaker_alone, wire.beat("a-1", holds_digest="other")) is None


def test_figures_stay_when_a_beat_leaves_them_out(speaker_alone):
    hot.note_beat(speaker_alone, wire.beat("a-1", gpus=(GPU,)))
    hot.note_beat(speaker_alone, wire.beat("a-1", resources=None))
    known = hot.snapshot("a-1")
    assert (known.gpus, known.resources.cpu_usage) == ((GPU,), 12.5)


def test_samples_of_tasks_are_those_of_the_last_beat(speaker_alone):
    sample = SubAgent(task_id=1, offer=1, cpu_usage=99.0)
    hot.note_beat(speaker_alone, wire.beat("a-1", sub_agents=(sample,)))
    assert hot.live_sub_agents("a-1") == (sample,)
    hot.note_beat(speaker_alone, wire.beat("a-1"))
    assert hot.live_sub_agents("a-1") == ()


def test_snapshot_is_a_copy(speaker_alone):
    hot.note_beat(speaker_alone, wire.beat("a-1"))
    hot.snapshot("a-1").epoch = 99
    assert hot.epoch("a-1") == 0


def test_unknown_agent_has_no_snapshot():
    assert (hot.snapshot("a-9"), hot.live_sub_agents("a-9"), hot.epoch("a-9")) == (None, (), 0)


# --- flush --------------------------------------------------------------------


@pytest.mark.django_db
def test_flush_writes_all_figures(agent, speaker):
    foreign = ForeignProcess(pid=7, user="bob", memory_mb=3)
    gpu = Gpu(uuid="GPU-1", index=0, foreign=(foreign,))
    beat = wire.beat(
        agent.id,
        gpus=(gpu,),
        resources=Resources(cpu_usage=40.0, memory_usage=20.0, cpu_cores_booked=3),
        thread_pool=ThreadPool(max_workers=10, completed_tasks=5),
        capacity=Capacity(cpu_cores=16, memory_bytes=9, slots=2),
    )
    hot.note_beat(speaker, beat)
    assert hot_flush.flush() == 1
    agent.refresh_from_db()
    assert (agent.status, agent.cpu_usage, agent.memory_usage) == ("online", 40.0, 20.0)
    assert agent.resources["cpu_cores_booked"] == 3
    assert agent.gpu_info[0]["foreign"][0]["user"] == "bob"
    assert agent.thread_pool["completed_tasks"] == 5
    assert (agent.cpu_cores, agent.slots) == (16, 2)


@pytest.mark.django_db
def test_flush_writes_changed_hosts_only(agent, speaker):
    hot.note_beat(speaker, wire.beat(agent.id))
    assert (hot_flush.flush(), hot_flush.flush()) == (1, 0)


@pytest.mark.django_db
def test_flush_never_overwrites_a_newer_beat(agent, speaker):
    hot.note_beat(speaker, wire.beat(agent.id))
    newer = timezone.now() + timedelta(seconds=4)
    Agent.objects.update(last_heartbeat_time=newer, cpu_usage=77)
    hot_flush.flush()
    agent.refresh_from_db()
    assert (agent.last_heartbeat_time, agent.cpu_usage) == (newer, 77)


@pytest.mark.django_db
@pytest.mark.parametrize("jump", [timedelta(hours=1), timedelta(days=3650)])
def test_flush_overwrites_a_beat_from_before_the_clock_was_set_back(agent, speaker, jump):
    future = timezone.now() + jump
    Agent.objects.update(last_heartbeat_time=future, cpu_usage=77)
    hot.note_beat(speaker, wire.beat(agent.id))
    hot_flush.flush()
    agent.refresh_from_db()
    assert agent.last_heartbeat_time < future
    assert agent.cpu_usage == 12.5


@pytest.mark.django_db
def test_flush_leaves_a_revoked_host_offline(agent, speaker):
    hot.note_beat(speaker, wire.beat(agent.id))
    revoke_agent(agent, by="x")
    hot_flush.flush()
    agent.refresh_from_db()
    assert agent.status == "offline"


@pytest.mark.django_db
def test_first_flush_of_a_silence_begins_a_new_running_time(agent, speaker):
    hot.note_beat(speaker, wire.beat(agent.id))
    hot_flush.flush()
    agent.refresh_from_db()
    begun = agent.online_since
    hot.note_beat(speaker, wire.beat(agent.id))
    hot_flush.flush()
    agent.refresh_from_db()
    assert begun is not None
    assert agent.online_since == begun


@pytest.mark.django_db
def test_failed_flush_is_tried_again(agent, speaker, monkeypatch):
    def broken():
        raise hot_flush.DatabaseError("disk is full")

    hot.note_beat(speaker, wire.beat(agent.id))
    with monkeypatch.context() as patch:
        patch.setattr(hot_flush.database_clock, "now", broken)
        with pytest.raises(hot_flush.DatabaseError):
            hot_flush.flush()
    assert hot_flush.flush() == 1


@pytest.mark.django_db
def test_hosts_are_flushed_in_two_statements_however_many(agent, django_assert_max_num_queries):
    for number in range(100):
        hot.note_beat(hot_speaker(f"a-{number}"), wire.beat(f"a-{number}"))
    with django_assert_max_num_queries(5):  # with a savepoint around them and the server's clock
        hot_flush.flush()


@pytest.mark.django_db(transaction=True)
def test_stop_writes_what_is_left(agent, speaker):
    flusher = hot_flush.Flusher()
    flusher.start()
    hot.note_beat(speaker, wire.beat(agent.id))
    flusher.stop()
    agent.refresh_from_db()
    assert agent.status == "online"


def hot_speaker(agent_id: str):
    """Return a principal of the default tenant."""
    from agents.principal import AgentPrincipal

    return AgentPrincipal(agent_id, "default")


@pytest.fixture
def speaker_alone():
    """Return a host that has no row."""
    return hot_speaker("a-1")


@pytest.mark.django_db
def test_readers_see_what_was_flushed(agent, speaker, monkeypatch):
    shown: list[str] = []
    readers = {"broken": lambda hosts: 1 / 0, "eager": lambda hosts: shown.extend(names(hosts))}
    monkeypatch.setattr(hot_flush, "_readers", readers)
    hot.note_beat(speaker, wire.beat(agent.id))
    assert (hot_flush.flush(), shown) == (1, [agent.id])


def names(hosts: list[hot.HotAgent]) -> list[str]:
    """Return the ids of hosts."""
    return [host.agent_id for host in hosts]
