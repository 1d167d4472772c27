"""Reads an installation's database behind the server's back.

Also to wait for something: asking the server twenty times a second would be a load of its own.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple

import psycopg

from tests.e2e.stack import Stack

UNREADABLE = (sqlite3.Error, psycopg.Error, OSError)
"""What reading raises while the database, or the disk below it, is down."""


class StoredEnd(NamedTuple):
    """What a task's row says of its end; of one that has ended it never changes again."""

    status: str
    reason: str
    exit_code: int | None
    signal: int | None
    log_bytes: int
    log_truncated_bytes: int


def rows(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, from SQLite or the PostgreSQL of DATABASE_URL."""
    url = stack.environment.get("DATABASE_URL", "")
    if url:
        with psycopg.connect(url) as connection:
            return connection.execute(statement).fetchall()
    # Read-only: the last connection to close would otherwise tidy up behind a dead server.
    path = f"file:{stack.data / 'database' / 'dialer.sqlite3'}?mode=ro"
    with contextlib.closing(sqlite3.connect(path, uri=True, timeout=30)) as database:
        return database.execute(statement).fetchall()


def statuses(stack: Stack, ids: Iterable[int]) -> dict[int, str]:
    """Return the states of some tasks."""
    listed = ", ".join(map(str, ids))
    return dict(rows(stack, f"SELECT id, status FROM tasks_task WHERE id IN ({listed})"))


def count_tasks(stack: Stack, *states: str) -> int:
    """Return how many tasks are in one of the states; an unreadable database counts as one."""
    listed = ", ".join(f"'{state}'" for state in states)
    try:
        found = rows(stack, f"SELECT count(*) FROM tasks_task WHERE status IN ({listed})")
    except UNREADABLE:
        return 1
    return int(found[0][0])


def stored_ends(stack: Stack) -> dict[int, StoredEnd]:
    """Return every task's end as it is stored."""
    columns = ", ".join(StoredEnd._fields)
    return {
        row[0]: StoredEnd(*row[1:]) for row in rows(stack, f"SELECT id, {columns} FROM tasks_task")
    }


def final_events(stack: Stack) -> dict[int, tuple[str, ...]]:
    """Return the ends that each task's timeline shows, in their order."""
    found: dict[int, list[str]] = defaultdict(list)
    statement = (
        "SELECT task_id, kind FROM tasks_taskevent"
        " WHERE kind IN ('completed', 'failed', 'canceled') ORDER BY id"
    )
    for task_id, kind in rows(stack, statement):
        found[task_id].append(kind)
    return {task_id: tuple(kinds) for task_id, kinds in found.items()}


def epoch_of(stack: Stack, agent: str) -> int:
    """Return the number of the host's last connection, 0 for a host nobody knows."""
    condition = f"name = '{agent}' AND main_agent_id IS NULL"
    found = rows(stack, f"SELECT epoch FROM agents_agent WHERE {condition}")
    return int(found[0][0]) if found else 0


def lease_holder(stack: Stack) -> str:
    """Return who does the periodic work, empty for nobody."""
    found = rows(stack, "SELECT holder FROM dialer_platform_lease WHERE name = 'housekeeping'")
    return str(found[0][0]) if found else ""
