"""Tasks whose host vanished: given up after their own patience, never earlier.

A final state never changes, so nothing is given up because a clock was set: the silence of
a host is what this process watched (`tasks/silence.py`). After a start of the server, what
was stored counts too, but only after a grace in which hosts come back.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime

from django.conf import settings

from agents import database_clock
from dialer_platform.storage import write_transaction
from tasks.choices import FAILED, Reason, Status
from tasks.models import Task
from tasks.services.endings import Ending, end_tasks
from tasks.services.moves import lock_tasks
from tasks.silence import SilenceWatch

COLUMNS = (
    "agent__last_heartbeat_time",
    "created_time",
    "lost_after_seconds",
    "offered_at",
)

watch = SilenceWatch()


def give_up_lost_agents(
    *, clock: Callable[[], float] = time.monotonic, watch: SilenceWatch = watch
) -> int:
    """End running tasks whose host has been silent for longer than they wait; returns how many."""
    unreachable = list(Task.objects.unreachable().select_related("agent").only(*COLUMNS))
    stamps: dict[str, datetime] = {}
    for task in unreachable:
        stamp = _last_word(task)
        stamps[_host_of(task)] = max(stamp, stamps.get(_host_of(task), stamp))
    watch.look(stamps, now=database_clock.now(), tick=clock())
    lost = [task.pk for task in unreachable if _is_lost(task, watch)]
    return _end(lost) if lost else 0


def _end(lost: list[int]) -> int:
    """Write the ends of tasks whose host is still silent; returns how many."""
    with write_transaction():
        tasks = lock_tasks(lost)
        # Asked again behind the lock: a host may have come back at the last moment.
        silent = Task.objects.unreachable().filter(pk__in=lost).values_list("pk", flat=True)
        endings = [
            Ending(tasks[pk], FAILED, Reason.AGENT_LOST, "housekeeping")
            for pk in silent
            if tasks[pk].status == Status.RUNNING
        ]
        end_tasks(endings)
    return len(endings)


def _is_lost(task: Task, watch: SilenceWatch) -> bool:
    """Return whether the host's silence exceeds the task's patience."""
    silent = watch.silent_seconds(_host_of(task), grace_seconds=settings.LOST_GRACE_SECONDS)
    return silent > task.lost_after_seconds


def _host_of(task: Task) -> str:
    """Return what tells the task's host from the others; a task without one is alone."""
    return task.agent_id or f"no host: {task.pk}"


def _last_word(task: Task) -> datetime:
    """Return when the task's host spoke last, as far as is stored."""
    seen = task.agent.last_heartbeat_time if task.agent else None
    return seen or task.offered_at or task.created_time
