"""The one mover: the only place that changes a task's status or phase.

Guarantees: a move that the table does not allow is a programming error; a move is a
compare-and-set on (status, phase, offer), so of two racing callers one wins and the other
learns it; every move raises the version, writes one event and rings after the commit.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from django.db import connection
from django.db.models import Field
from django.utils import timezone

from dialer_platform.storage import write_transaction
from tasks import events
from tasks.choices import ALLOWED_MOVES, State
from tasks.hot_reads import LOCKED_COLUMNS, lock_rows
from tasks.models import Task


class Raced(Exception):
    """Somebody else moved a task first; the transaction must not go on."""


class ForbiddenMove(Exception):
    """The table of moves does not know this one: a defect of the caller."""


@dataclass(frozen=True, slots=True)
class Move:
    """One intended step: the task as it was read, where to, and what else changes.

    `kind` is the event's past-tense name; `changes` are further columns to set; `detail`
    goes to the event.
    """

    task: Task
    to: State
    kind: str
    actor: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)

    def columns(self) -> dict[str, Any]:
        """Return every column the move sets, except the version."""
        return {**self.changes, "status": self.to[0], "phase": self.to[1]}


def move(
    task: Task,
    *,
    to: State,
    kind: str,
    actor: str = "",
    changes: Mapping[str, Any] | None = None,
    detail: Mapping[str, Any] | None = None,
) -> bool:
    """Move one task; False when somebody else was first, and then nothing is written."""
    one = Move(task, to, kind, actor, changes or {}, detail or {})
    _check(one)
    with write_transaction():
        if _update([one]) != 1:
            return False
        _follow_up([one])
    return True


def move_all(moves: Sequence[Move]) -> None:
    """Move many tasks with few statements; raises Raced when one had been moved already.

    After Raced the caller's transaction must be rolled back. Callers that lock their rows
    first (`lock_tasks`) never see it.
    """
    if not moves:
        return
    for one in moves:
        _check(one)
    with write_transaction():
        for group in _grouped(moves):
            lost = len(group) - _update(group)
            if lost:
                raise Raced(f"{lost} of {len(group)} tasks had moved")
        _follow_up(moves)


def lock_tasks(task_ids: Collection[int]) -> dict[int, Task]:
    """Return the tasks by id with what decides about a move, locked where the database can."""
    return {task.pk: task for task in lock_rows(task_ids, LOCKED_COLUMNS)}


def record_events(entries: Iterable[tuple[Task, str, str, Mapping[str, Any]]]) -> None:
    """Append to the timelines: (task, kind, actor, detail) each, all with the same time."""
    moment = connection.ops.adapt_datetimefield_value(timezone.now())
    rows = [
        (task.pk, moment, kind, actor[:200], json.dumps(dict(detail)))
        for task, kind, actor, detail in entries
    ]
    if not rows:
        return
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO tasks_taskevent (task_id, at, kind, actor, detail) "
            "VALUES (%s, %s, %s, %s, %s)",
            rows,
        )


def _check(one: Move) -> None:
    """Raise ForbiddenMove when the table does not allow the step."""
    if one.to not in ALLOWED_MOVES[one.task.state]:
        raise ForbiddenMove(f"task {one.task.pk} must not go from {one.task.state} to {one.to}")


def _grouped(moves: Iterable[Move]) -> Iterable[list[Move]]:
    """Yield the moves in groups that set the same columns."""
    groups: dict[tuple[str, ...], list[Move]] = defaultdict(list)
    for one in moves:
        groups[tuple(sorted(one.columns()))].append(one)
    return groups.values()


def _follow_up(moves: Sequence[Move]) -> None:
    """Write the events, arrange the hints and bring the objects up to date."""
    record_events((one.task, one.kind, one.actor, one.detail) for one in moves)
    _announce(moves)
    for one in moves:
        _apply(one)


def _update(group: Sequence[Move]) -> int:
    """Run one prepared UPDATE for all moves of a group; returns how many rows matched."""
    statement, fields = _statement(tuple(sorted(group[0].columns())))
    rows = []
    for one in group:
        columns, task = one.columns(), one.task
        values = [each.get_db_prep_save(columns[name], connection) for name, each in fields]
        rows.append([*values, task.pk, task.status, task.phase, task.offer])
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
        return int(cursor.rowcount)


@cache
def _statement(names: tuple[str, ...]) -> tuple[str, list[tuple[str, Field[Any, Any]]]]:
    """Return the UPDATE that sets these columns, and how each value is written."""
    fields = [(name, _column(name)) for name in names]
    quote = connection.ops.quote_name
    assignments = ", ".join(f"{quote(str(field.column))} = %s" for _name, field in fields)
    # Column names come from the model, every value is a parameter.
    return (
        f"UPDATE tasks_task SET {assignments}, version = version + 1 "  # noqa: S608
        "WHERE id = %s AND status = %s AND phase = %s AND offer = %s",
        fields,
    )


def _column(name: str) -> Field[Any, Any]:
    """Return a concrete field of the task by name or column name."""
    found = Task._meta.get_field(name)
    if not isinstance(found, Field):
        raise ForbiddenMove(f"{name} is no column of a task")
    return found


def _announce(moves: Iterable[Move]) -> None:
    """Ring once per tenant after the commit."""
    ids: dict[str, list[int]] = defaultdict(list)
    for one in moves:
        ids[one.task.tenant_id].append(one.task.pk)
    for tenant_id, task_ids in ids.items():
        events.tasks_changed(task_ids, tenant_id=tenant_id)


def _apply(one: Move) -> None:
    """Bring the object in memory to what was written."""
    for name, value in one.columns().items():
        setattr(one.task, name, value)
    one.task.version += 1
