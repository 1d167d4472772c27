"""Hints to whoever watches: which tasks changed, which log grew.

The only place of this app that calls the live hub. A hint is sent after the commit, may
be lost, and carries no data: who gets it reads the truth again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from django.db import transaction

from dialer_platform.console import live

LIST_TOPIC = "tasks"


def task_topic(task_id: int) -> str:
    """Return the topic of one task."""
    return f"task.{task_id}"


def log_topic(task_id: int) -> str:
    """Return the topic of one task's log."""
    return f"log.{task_id}"


def tasks_changed(task_ids: Iterable[int], *, tenant_id: str) -> None:
    """Tell, after the commit, that these tasks of one tenant changed."""
    transaction.on_commit(partial(_publish_tasks, tuple(task_ids), tenant_id))


def log_grew(task_id: int, *, tenant_id: str) -> None:
    """Tell that more of a task's log is stored; called outside of transactions."""
    live.publish(log_topic(task_id), tenant_id=tenant_id)


def _publish_tasks(task_ids: tuple[int, ...], tenant_id: str) -> None:
    """Publish one hint per task and one for the list."""
    for task_id in task_ids:
        live.publish(task_topic(task_id), tenant_id=tenant_id)
    live.publish(LIST_TOPIC, tenant_id=tenant_id)
