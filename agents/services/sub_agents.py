"""Rows of sub-agents: written when a task starts and ends, never in between.

Live figures of a running task stay in memory (`hot.live_sub_agents`). Called by the queue
inside its own transaction; a task is only a number here. Start and end are fixed
statements, because every task passes here: composing them through the ORM cost 0.7 ms.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from agents import database_clock, events
from agents.choices import AgentStatus, AgentType
from agents.models import Agent
from dialer_platform.storage import write_transaction

KEEP_SECONDS = 24 * 3600
DELETE_BATCH = 2_000


CLOSING = """
    UPDATE agents_agent SET status = 'offline', last_heartbeat_time = %s
    WHERE id = %s AND type = 'sub' AND status = 'online'
"""
OPENING = """
    INSERT INTO agents_agent ({columns}) VALUES ({marks})
    ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, online_since = EXCLUDED.online_since,
        last_heartbeat_time = EXCLUDED.last_heartbeat_time, name = EXCLUDED.name,
        cpu_cores = EXCLUDED.cpu_cores
"""


class StartedTask(NamedTuple):
    """A task that starts on a host."""

    agent_id: str
    tenant_id: str
    task_id: int
    name: str
    cpu_cores: int = 0


class EndedTask(NamedTuple):
    """A task that ran on a host."""

    agent_id: str
    tenant_id: str
    task_id: int


def sub_agent_id(agent_id: str, task_id: int) -> str:
    """Return the id of the sub-agent that runs the task on the host."""
    return f"{agent_id}/{task_id}"


def open_sub_agents(started: Sequence[StartedTask]) -> None:
    """Record that tasks run; telling it twice is harmless. One statement for all."""
    statement, _columns = _insertion()
    moment = _now()
    with write_transaction():
        with connection.cursor() as cursor:
            cursor.executemany(statement, [_row(one, moment) for one in started])
        _announce((one.tenant_id, one.agent_id) for one in started)


def open_sub_agent(agent_id: str, task_id: int, name: str) -> None:
    """Record that one task runs on a host."""
    tenant_id = Agent.objects.values_list("tenant_id", flat=True).get(id=agent_id)
    open_sub_agents([StartedTask(agent_id, tenant_id, task_id, name)])


def close_sub_agents(ended: Sequence[EndedTask]) -> None:
    """Record that tasks run no more; unknown ones are ignored. One statement for all."""
    moment = _now()
    ids = [(moment, sub_agent_id(one.agent_id, one.task_id)) for one in ended]
    with write_transaction():
        with connection.cursor() as cursor:
            cursor.executemany(CLOSING, ids)
        _announce((one.tenant_id, one.agent_id) for one in ended)


def close_sub_agent(agent_id: str, task_id: int) -> None:
    """Record that one task runs no more on a host; an unknown host is ignored."""
    for tenant_id in Agent.objects.filter(id=agent_id).values_list("tenant_id", flat=True):
        close_sub_agents([EndedTask(agent_id, tenant_id, task_id)])


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


@cache
def _insertion() -> tuple[str, dict[str, Any]]:
    """Return the statement that opens a row, and every column as it is without being named."""
    blank, fields = Agent(), Agent._meta.concrete_fields
    columns = {
        str(field.column): field.get_db_prep_save(getattr(blank, field.attname), connection)
        for field in fields
    }
    marks = ", ".join(["%s"] * len(columns))
    return OPENING.format(columns=", ".join(columns), marks=marks), columns


def _row(one: StartedTask, moment: Any) -> list[Any]:
    """Return the parameters of OPENING for one task."""
    _statement, columns = _insertion()
    row = columns | {
        "id": sub_agent_id(one.agent_id, one.task_id),
        "tenant_id": one.tenant_id,
        "name": one.name[:200],
        "type": AgentType.SUB.value,
        "status": AgentStatus.ONLINE.value,
        "created_time": moment,
        "online_since": moment,
        "last_heartbeat_time": moment,
        "main_agent_id": one.agent_id,
        "task_id": one.task_id,
        "cpu_cores": one.cpu_cores,
    }
    return list(row.values())


def _now() -> Any:
    """Return the database's time as it takes it."""
    return connection.ops.adapt_datetimefield_value(database_clock.now())


def _announce(found: Iterable[tuple[str, str]]) -> None:
    """Tell open pages which hosts run something else now."""
    for tenant_id, agent_id in set(found):
        events.agents_changed(tenant_id, [agent_id])
