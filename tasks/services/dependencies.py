"""The dependency graph: refuses cycles, and settles dependents when a task ends.

Promises (R19): nothing waits for a host before all its dependencies completed; a failed
or canceled task cancels its dependents, and theirs, once, in the transaction of its end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from django.utils import timezone

from tasks.choices import BLOCKED, CANCELED, QUEUED, Reason, Status
from tasks.hot_reads import dependents_of
from tasks.models import Task, TaskDependency
from tasks.services.moves import Move, lock_tasks, move_all

MAX_DEPENDENCIES = 1_000
MAX_WALKED = 100_000
"""Edges looked at when searching for a cycle; a larger graph is refused."""
SQL_PARAMETERS = 500
"""Ids in one IN (...): well below every database's limit."""

BROKEN = frozenset({Status.FAILED, Status.CANCELED})


def settle(ended: Sequence[Task]) -> set[str]:
    """Unblock or cancel what depends on tasks that just ended.

    Call it in the transaction of their end. Returns the tenants in which tasks became
    runnable.
    """
    _cancel_dependents([task for task in ended if task.status in BROKEN])
    return _unblock([task.pk for task in ended if task.status == Status.COMPLETED])


def closes_cycle(task_id: int, depends_on: Iterable[int]) -> bool:
    """Return whether making the task depend on these would close a circle."""
    frontier, seen = set(depends_on), set[int]()
    while frontier:
        if task_id in frontier:
            return True
        seen |= frontier
        if len(seen) > MAX_WALKED:
            return True
        frontier = _ancestors(frontier) - seen
    return False


def replace_edges(task: Task, depends_on: Collection[int]) -> None:
    """Make the task depend on exactly these tasks."""
    TaskDependency.objects.filter(task=task).delete()
    TaskDependency.objects.bulk_create(
        [TaskDependency(task=task, depends_on_id=other) for other in depends_on]
    )


def state_after(statuses: Iterable[str]) -> tuple[str, str]:
    """Return the state of a task whose dependencies have these statuses."""
    found = set(statuses)
    if found & BROKEN:
        return CANCELED
    return BLOCKED if found - {Status.COMPLETED} else QUEUED


def failure_changes(broken: Sequence[Task | int]) -> dict[str, object]:
    """Return the columns of a task canceled because of these dependencies."""
    ids = [task.pk if isinstance(task, Task) else task for task in broken]
    names = ", ".join(f"#{number}" for number in ids[:10])
    return {
        "reason": Reason.DEPENDENCY_FAILED,
        "reason_detail": names,
        "end_time": timezone.now(),
    }


def _ancestors(task_ids: Collection[int]) -> set[int]:
    """Return what the tasks depend on directly."""
    found: set[int] = set()
    for chunk in _chunks(task_ids):
        edges = TaskDependency.objects.filter(task_id__in=chunk)
        found.update(edges.values_list("depends_on_id", flat=True))
    return found


def _unblock(completed: Sequence[int]) -> set[str]:
    """Queue the blocked dependents that have no unfinished dependency left."""
    # Locked before looking: of two dependencies that end at once in two transactions, the
    # second then sees the end of the first.
    locked = lock_tasks(dependents_of(completed))
    blocked = {task_id: task for task_id, task in locked.items() if task.state == BLOCKED}
    for chunk in _chunks(blocked):
        unfinished = TaskDependency.objects.filter(task_id__in=chunk)
        still = unfinished.exclude(depends_on__status=Status.COMPLETED)
        for task_id in still.values_list("task_id", flat=True):
            blocked.pop(task_id, None)
    move_all([Move(task, QUEUED, "unblocked") for task in blocked.values()])
    return {task.tenant_id for task in blocked.values()}


def _cancel_dependents(broken: Sequence[Task]) -> None:
    """Cancel what depends on the broken tasks, level by level."""
    level: Sequence[Task] = broken
    while level:
        causes = _blocked_dependents([task.pk for task in level])
        tasks = [task for task in lock_tasks(causes).values() if task.state == BLOCKED]
        moves = []
        for task in tasks:
            changes = failure_changes(causes[task.pk])
            detail = {"depends_on": causes[task.pk]}
            moves.append(Move(task, CANCELED, "dependency_failed", "", changes, detail))
        move_all(moves)
        level = tasks


def _blocked_dependents(task_ids: Sequence[int]) -> Mapping[int, list[int]]:
    """Return the blocked direct dependents, each with those of the tasks it waits for."""
    causes: dict[int, list[int]] = defaultdict(list)
    for chunk in _chunks(task_ids):
        edges = TaskDependency.objects.filter(
            depends_on_id__in=chunk, task__status=Status.BLOCKED
        ).order_by("depends_on_id")
        for task_id, cause in edges.values_list("task_id", "depends_on_id"):
            causes[task_id].append(cause)
    return causes


def _chunks(ids: Collection[int]) -> Iterable[list[int]]:
    """Yield the ids in pieces that fit one statement."""
    listed = list(ids)
    for start in range(0, len(listed), SQL_PARAMETERS):
        yield listed[start : start + SQL_PARAMETERS]
