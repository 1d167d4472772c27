"""Dial tests through a real server and a real agent: nothing due is lost, nothing doubled."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
import requests

from tests.e2e.stack import Stack, wait_for

pytestmark = pytest.mark.e2e
INTERVAL = 1


def made(stack: Stack, **fields: Any) -> int:
    body = {"name": "p", "kind": "http", "target": f"{stack.url}/healthz", "interval": INTERVAL}
    answer = stack.post("/api/v1/probes/", {**body, **fields})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def edited(stack: Stack, probe_id: int, method: str, body: Any = None) -> requests.Response:
    """Change or delete a probe as the administrator."""
    url = f"{stack.url}/api/v1/probes/{probe_id}/"
    return stack._session.request(method, url, json=body, timeout=30)


def results(stack: Stack, probe_id: int) -> list[dict[str, Any]]:
    """Return all results of a probe, oldest first."""
    path = f"/api/v1/probes/{probe_id}/results/"
    found = stack.get(path, params={"page_size": 500}).json()["results"]
    return sorted(found, key=lambda one: str(one["started_at"]))


def until(stack: Stack, probe_id: int, holds: Callable[[list[dict[str, Any]]], bool]) -> Any:
    wait_for(lambda: holds(results(stack, probe_id)), seconds=40, each=0.2)
    return results(stack, probe_id)


def seconds_of(result: dict[str, Any], field: str = "started_at") -> float:
    return datetime.fromisoformat(result[field]).timestamp()


def due_moments(found: list[dict[str, Any]]) -> list[int]:
    """Return the number of the interval of every due run that the results speak of."""
    moments = []
    for one in found:
        first = seconds_of(one) - one["late_seconds"]
        moments += [first + INTERVAL * step for step in range(one["count"])]
    phase = moments[0] % INTERVAL
    return sorted(round((at - phase) / INTERVAL) for at in moments)


def assert_complete(found: list[dict[str, Any]]) -> None:
    """Every interval from the first to the last is there, once."""
    numbers = due_moments(found)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def test_probe_is_run_changed_and_removed(own_stack: Stack) -> None:
    stack = own_stack
    stack.start_agent()
    probe_id = made(stack)
    until(stack, probe_id, lambda found: len(found) >= 3)
    answer = edited(stack, probe_id, "PATCH", {"target": f"{stack.url}/nowhere"})
    assert answer.status_code == 200, answer.text
    found = until(stack, probe_id, lambda found: any(not one["success"] for one in found))
    assert next(one for one in found if not one["success"])["version"] == answer.json()["version"]
    edited(stack, probe_id, "DELETE")
    wait_for(lambda: "task removed task_id" in stack.log_of_agent(), seconds=20)


def test_every_due_run_is_told_once_when_the_agent_is_killed(own_stack: Stack) -> None:
    stack = own_stack
    stack.start_agent()
    probe_id = made(stack)
    until(stack, probe_id, lambda found: len(found) >= 3)
    stack.kill_agent()
    time.sleep(3)  # the runs that are due meanwhile are what this is about
    stack.start_agent()

    def is_back(found: list[dict[str, Any]]) -> bool:
        gaps = [n for n, one in enumerate(found) if one["reason"] == "agent_restart"]
        return bool(gaps) and len(found) >= gaps[0] + 4

    found = until(stack, probe_id, is_back)
    assert_complete(found)
    assert sum(one["count"] for one in found if one["outcome"] == "missed") >= 3


def test_every_result_arrives_once_when_the_server_was_away(own_stack: Stack) -> None:
    stack = own_stack
    stack.start_agent()
    probe_id = made(stack, kind="tcp", target=f"127.0.0.1:{stack.port}")
    before = until(stack, probe_id, lambda found: len(found) >= 2)
    stack.kill_server()
    time.sleep(10)
    stack.start_server()
    found = until(stack, probe_id, lambda found: len(found) >= len(before) + 12)
    assert_complete(found)
    assert not any(one["outcome"] == "missed" for one in found)
    assert any(one["reason"] == "refused" for one in found)
