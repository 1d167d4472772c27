"""Tasks whose host vanished: given up after their own patience, never earlier."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from dialer_platform.storage import write_transaction
from tasks.choices import FAILED, Reason, Status
from tasks.models import Task
from tasks.services.endings import Ending, end_tasks
from tasks.services.moves import lock_tasks

GRACE_SECONDS = 120.0
"""After a start of the server hosts get this long to come back, however long it was down."""

_process_started_at = time.monotonic()


def give_up_lost_agents(*, clock: Callable[[], float] = time.monotonic) -> int:
    """End running tasks whose host has been silent for longer than they wait; returns how many."""
    if clock() - _process_started_at < GRACE_SECONDS:
        return 0
    lost = [
        task.pk for task in Task.objects.unreachable().select_related("agent") if _is_lost(task)
    ]
    if not lost:
        return 0
    with write_transaction():
        tasks = [task for task in lock_tasks(lost).values() if task.status == Status.RUNNING]
        end_tasks([Ending(task, FAILED, Reason.AGENT_LOST, "housekeeping") for task in tasks])
    return len(tasks)


def _is_lost(task: Task) -> bool:
    """Return whether the host's silence exceeds the task's patience."""
    seen = task.agent.last_heartbeat_time if task.agent else None
    since = seen or task.offered_at or task.created_time
    return timezone.now() - since > timedelta(seconds=task.lost_after_seconds)
