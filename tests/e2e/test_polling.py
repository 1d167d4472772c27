"""Everything works over HTTP polling alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("polling")]


@pytest.fixture
def polling_stack(own_stack: Stack, tmp_path: Path) -> Stack:
    """A server whose only agent never opens a WebSocket."""
    own_stack.start_agent(AGENT_CONNECTION_TRANSPORT="polling")
    return own_stack


def test_task_runs_to_its_end_with_its_log(polling_stack: Stack) -> None:
    task = polling_stack.wait_final(polling_stack.submit("seq 1 20000"))
    assert task["status"] == "completed"
    expected = "".join(f"{n}\n" for n in range(1, 20001)).encode()
    assert polling_stack.log(task["id"]) == expected


def test_running_task_is_canceled(polling_stack: Stack) -> None:
    task = polling_stack.submit("sleep 100")
    polling_stack.wait_status(task, "running")
    polling_stack.post(f"/api/v1/tasks/{task}/cancel/")
    assert polling_stack.wait_final(task)["status"] == "canceled"
