"""`queue`: what waits and runs, in the order it will be served."""

from __future__ import annotations

import json

import pytest

from tests.agent_client.commands.conftest import Answer


def _task(id: int, status: str, priority: int = 3, **more) -> dict:
    return {"id": id, "status": status, "phase": "", "priority": priority, "name": f"t{id}", **more}


@pytest.fixture
def tasks(server):
    """Return the list of tasks that the server serves page by page, newest first."""
    stored: list[dict] = []

    def serve(request) -> Answer:
        wanted = request.query.get("status")
        found = [task for task in reversed(stored) if wanted in (None, task["status"])]
        size, page = int(request.query["page_size"]), int(request.query["page"])
        part = found[(page - 1) * size : page * size]
        more = "next" if page * size < len(found) else None
        return Answer({"count": len(found), "next": more, "results": part})

    server.routes["GET tasks/"] = serve
    return stored


def _ids(outcome) -> list[int]:
    return [task["id"] for task in json.loads(outcome.out)]


def test_queue_lists_running_then_by_priority_and_age(tasks, run):
    tasks += [
        _task(1, "completed"),
        _task(2, "blocked", 1),
        _task(3, "waiting", 3),
        _task(4, "waiting", 1),
        _task(5, "waiting", 3),
        _task(6, "running", 5),
    ]
    assert _ids(run("queue", "--json")) == [6, 4, 3, 5, 2]


def test_queue_with_all_is_newest_first(tasks, run):
    tasks += [_task(1, "completed"), _task(2, "waiting")]
    assert _ids(run("queue", "--all", "--json")) == [2, 1]


def test_queue_of_one_status_is_asked_from_the_server(tasks, run, server):
    tasks += [_task(1, "failed"), _task(2, "waiting")]
    assert _ids(run("queue", "--status", "failed", "--json")) == [1]
    assert server.requests[0].query["status"] == "failed"


def test_queue_is_limited(tasks, run):
    tasks += [_task(n, "waiting") for n in range(1, 9)]
    assert len(_ids(run("queue", "--limit", "3", "--json"))) == 3


def test_queue_reads_further_pages(tasks, run, monkeypatch):
    monkeypatch.setattr("agent_client.commands.queue._MAX_PAGE", 2)
    tasks += [_task(n, "waiting") for n in range(1, 6)]
    assert _ids(run("queue", "--json")) == [1, 2, 3, 4, 5]


def test_queue_prints_a_table_with_the_reason(tasks, run):
    tasks.append(
        _task(
            3,
            "waiting",
            phase="queued",
            name="训练\x1b[31m",
            template_type="gpu",
            created_time="2026-11-21T10:00:00.123Z",
            waiting_reason="no free GPU",
        )
    )
    head, row = run("queue").out.splitlines()
    assert head.split() == ["ID", "STATUS", "PRIO", "NAME", "TYPE", "AGENT", "CREATED"]
    assert row.startswith(
        "3   waiting (queued)  3     训练\\x1b[31m  gpu   -      2026-11-21 10:00:00"
    )
    assert row.endswith("no free GPU")


def test_empty_queue_says_so(tasks, run):
    assert run("queue").out == "no tasks\n"
