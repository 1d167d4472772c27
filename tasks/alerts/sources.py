"""Problems of hosts and of tasks. Those of probes come from tasks.probes by the same registry."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from agents.models import Agent
from tasks.alerts.choices import Event
from tasks.alerts.problems import MAX_PROBLEMS, Problem
from tasks.choices import Status
from tasks.endings_text import end_sentence
from tasks.models import Task

FAILED_WITHIN = timedelta(hours=1)
"""How long a failed task is still told: longer than any restart of the server takes."""


def lost_agents(tenant_id: str, _now: datetime) -> list[Problem]:
    """Return the hosts of a tenant that have called before and are silent now.

    A paused host may be silent: somebody works on it and has said so.
    """
    offline = Agent.objects.of_tenant(tenant_id).hosts().offline()
    silent = offline.filter(token_used=True, is_paused=False)
    return [
        Problem(
            event=Event.AGENT_LOST,
            key=f"agent:{agent.id}",
            name=agent.name,
            title=_("Agent %(name)s is silent") % {"name": agent.name},
            since=agent.last_heartbeat_time or agent.created_time,
            url=agent.get_absolute_url(),
            labels=agent.labels,
        )
        for agent in silent.order_by("id")[:MAX_PROBLEMS]
    ]


def failed_tasks(tenant_id: str, now: datetime) -> list[Problem]:
    """Return the tasks of a tenant that failed within the hour; each is told once."""
    failed = Task.objects.of_tenant(tenant_id).filter(
        status=Status.FAILED, end_time__gte=now - FAILED_WITHIN
    )
    # The newest first: the index of the list by status ends the search early.
    return [_failure(task) for task in failed.shown().order_by("-id")[:MAX_PROBLEMS]]


def _failure(task: Task) -> Problem:
    """Return what is told about a failed task."""
    return Problem(
        event=Event.TASK_FAILED,
        key=f"task:{task.pk}",
        name=task.name,
        title=_("Task #%(id)d %(name)s failed") % {"id": task.pk, "name": task.name},
        text=end_sentence(task),
        since=task.end_time or task.created_time,
        url=task.get_absolute_url(),
        labels=task.labels,
        is_momentary=True,
    )
