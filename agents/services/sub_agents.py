"""Rows of sub-agents: written when a task starts and ends, never in between.

Live figures of a running task stay in memory (`hot.live_sub_agents`). Called by the queue
inside its own transaction; a task is only a number here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from django.db.models import Q

from agents import database_clock, events
from agents.choices import AgentStatus, AgentType
from agents.models import Agent
from dialer_platform.storage import write_transaction

KEEP_SECONDS = 24 * 3600
DELETE_BATCH = 2_000


class StartedTask(NamedTuple):
    """A task that starts on a host."""

    agent_id: str
    tenant_id: str
    task_id: int
    name: str
    cpu_cores: int = 0


def sub_agent_id(agent_id: str, task_id: int) -> str:
    """Return the id of the sub-agent that runs the task on the host."""
    return f"{agent_id}/{task_id}"


def open_sub_agents(started: Sequence[StartedTask]) -> None:
    """Record that tasks run; telling it twice is harmless. One statement for all."""
    now = database_clock.now()
    rows = [
        Agent(
            id=sub_agent_id(one.agent_id, one.task_id),
            tenant_id=one.tenant_id,
            name=one.name[:200],
            type=AgentType.SUB,
            status=AgentStatus.ONLINE,
            created_time=now,
            online_since=now,
            last_heartbeat_time=now,
            main_agent_id=one.agent_id,
            task_id=one.task_id,
            cpu_cores=one.cpu_cores,
        )
        for one in started
    ]
    with write_transaction():
        Agent.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["id"],
            update_fields=["status", "online_since", "last_heartbeat_time", "name", "cpu_cores"],
        )
        _announce((one.tenant_id, one.agent_id) for one in started)


def open_sub_agent(agent_id: str, task_id: int, name: str) -> None:
    """Record that one task runs on a host."""
    tenant_id = Agent.objects.values_list("tenant_id", flat=True).get(id=agent_id)
    open_sub_agents([StartedTask(agent_id, tenant_id, task_id, name)])


def close_sub_agents(ended: Iterable[tuple[str, int]]) -> None:
    """Record that tasks, given as (agent id, task id), run no more; unknown ones are ignored."""
    ids = [sub_agent_id(agent_id, task_id) for agent_id, task_id in ended]
    with write_transaction():
        closed = Agent.objects.running().filter(id__in=ids)
        found = set(closed.values_list("tenant_id", "main_agent_id"))
        closed.update(status=AgentStatus.OFFLINE, last_heartbeat_time=database_clock.now())
        _announce((tenant_id, agent_id) for tenant_id, agent_id in found if agent_id)


def close_sub_agent(agent_id: str, task_id: int) -> None:
    """Record that one task runs no more on a host."""
    close_sub_agents([(agent_id, task_id)])


def delete_old_sub_agents() -> int:
    """Delete rows of tasks that ended a day ago, a bounded number at a time; housekeeping."""
    until = database_clock.now() - timedelta(seconds=KEEP_SECONDS)
    old = Agent.objects.filter(
        Q(last_heartbeat_time__lt=until), type=AgentType.SUB, status=AgentStatus.OFFLINE
    )
    ids = list(old.values_list("id", flat=True)[:DELETE_BATCH])
    with write_transaction():
        deleted, _ = Agent.objects.filter(id__in=ids).delete()
    return deleted


def _announce(found: Iterable[tuple[str, str]]) -> None:
    """Tell open pages which hosts run something else now."""
    for tenant_id, agent_id in set(found):
        events.agents_changed(tenant_id, [agent_id])
