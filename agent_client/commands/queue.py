"""`queue`: list the tasks that wait or run, most urgent first; `--all` the final ones too."""

from __future__ import annotations

import argparse
from typing import Any

from agent_client.commands.api import Client
from agent_client.commands.session import print_json, stand, table, with_client
from agent_client.errors import ExitCode

_OPEN = ("running", "waiting", "blocked")
_MAX_PAGE = 500
_HEAD = ("ID", "STATUS", "PRIO", "NAME", "TYPE", "AGENT", "CREATED", "")


def run(options: argparse.Namespace) -> int:
    """Print the list."""
    return with_client(lambda client: _queue(client, options))


def _queue(client: Client, options: argparse.Namespace) -> int:
    tasks = find_tasks(client, options)
    if options.json:
        print_json(tasks)
    elif tasks:
        print(table(_HEAD, [_row(task) for task in tasks]))
    else:
        print("no tasks")
    return ExitCode.OK


def find_tasks(client: Client, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Return at most `limit` tasks: the asked status, all, or the open ones by urgency."""
    limit = max(1, options.limit)
    if options.status or options.all:
        return _pages(client, options.status, limit)
    found = [task for status in _OPEN for task in _pages(client, status, limit)]
    found.sort(key=lambda task: (_OPEN.index(task["status"]), task["priority"], task["id"]))
    return found[:limit]


def _pages(client: Client, status: str | None, limit: int) -> list[dict[str, Any]]:
    """Return at most limit tasks of one status, page by page."""
    found: list[dict[str, Any]] = []
    page, size = 1, min(limit, _MAX_PAGE)
    while len(found) < limit:
        answer = client.get("tasks/", status=status, page=page, page_size=size)
        found += answer["results"]
        if not answer.get("next"):
            break
        page += 1
    return found[:limit]


def _row(task: dict[str, Any]) -> tuple[object, ...]:
    created = str(task.get("created_time") or "")[:19].replace("T", " ")
    note = task.get("waiting_reason") or task.get("reason") or ""
    return (
        task["id"],
        stand(task),
        task.get("priority"),
        task.get("name"),
        task.get("template_type"),
        task.get("agent_id") or "-",
        created,
        note,
    )
