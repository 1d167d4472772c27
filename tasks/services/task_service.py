"""The task service by its everyday names, over the verbs that do the work.

Reads are bound to what the principal may see; a task of another tenant does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db.models import Max
from django.utils.translation import gettext as _

from dialer_platform.accounts.principal import Principal
from dialer_platform.errors import NotFound
from tasks.logs.files import reader, store
from tasks.models import Task
from tasks.querysets import TaskQuerySet
from tasks.services import cancel, change, offering, submit

PAGE_SIZE = 50
MAX_RANGE = 500


def create_task(*, principal: Principal, fields: Mapping[str, Any]) -> Task:
    """Store one task and offer it."""
    return submit.create_task(principal=principal, fields=fields)


def get_task_by_id(task_id: int, *, principal: Principal) -> Task:
    """Return one task; raises NotFound."""
    task = Task.objects.visible_to(principal).shown().filter(pk=task_id).first()
    if task is None:
        raise NotFound(_("There is no such task."))
    return task


def get_task_in_range(first_id: int, last_id: int, *, principal: Principal) -> list[Task]:
    """Return the tasks with ids from first to last, at most MAX_RANGE, oldest first."""
    tasks = Task.objects.visible_to(principal).filter(pk__gte=first_id, pk__lte=last_id)
    return list(tasks.order_by("id")[:MAX_RANGE])


def get_task_in_page(page: int, *, principal: Principal, page_size: int = PAGE_SIZE) -> list[Task]:
    """Return one page of tasks, newest first; pages count from 1."""
    size = min(max(page_size, 1), MAX_RANGE)
    start = (max(page, 1) - 1) * size
    return list(Task.objects.visible_to(principal).order_by("-id")[start : start + size])


def get_all_tasks(*, principal: Principal) -> TaskQuerySet:
    """Return all tasks as a queryset: nothing is read before it is needed."""
    return Task.objects.visible_to(principal)


def get_max_id(*, principal: Principal) -> int:
    """Return the highest id, 0 when there is no task."""
    return Task.objects.visible_to(principal).aggregate(highest=Max("id"))["highest"] or 0


def update_task(task: Task, *, by: Principal, fields: Mapping[str, Any]) -> Task:
    """Change what the fields name."""
    return change.update_task(task, by=by, fields=fields)


def update_task_by_key(task: Task, key: str, value: Any, *, by: Principal) -> Task:
    """Change one field."""
    return change.update_task_by_key(task, key, value, by=by)


def cancel_task(task: Task, *, by: Principal) -> Task:
    """Cancel a task."""
    return cancel.cancel_task(task, by=by)


def append_task_log(task_id: int, offset: int, frames: bytes) -> int:
    """Append whole frames at a merged offset and return the new end; raises logs.store.Gap."""
    return store().append(task_id, offset, frames)


def get_task_log(task_id: int, *, offset: int = 0, limit: int = 1024 * 1024) -> bytes:
    """Return bytes of the merged log."""
    return reader(task_id).read(offset, limit).data


def find_task_for_agent(agent_id: str, *, tenant_id: str) -> Task | None:
    """Offer the most urgent task that fits the host's free resources; None if none does."""
    return offering.find_task_for_agent(agent_id, tenant_id=tenant_id)
