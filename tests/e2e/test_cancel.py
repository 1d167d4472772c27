"""Cancel ends every process of a task, whatever it tries."""

from __future__ import annotations

import time

import psutil
import pytest

from tests.e2e.stack import Stack, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("cancel")]

STUBBORN = """
trap '' TERM INT HUP
(trap '' TERM; sleep 4321.{n}) &
setsid sh -c "trap '' TERM; sleep 4322.{n}" &
(setsid sh -c "trap '' TERM; (sleep 4323.{n} &) ; sleep 4324.{n}" &) &
env -i sleep 4325.{n} &
echo ready
while :; do sleep 0.1; done
"""


def survivors(mark: int) -> list[str]:
    """Return the command lines of sleeps that carry the mark."""
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if f".{mark}" in line and line.startswith("sleep 432"):
            lines.append(line)
    return lines


def test_cancel_leaves_nobody_of_a_stubborn_tree(stack: Stack) -> None:
    mark = time.monotonic_ns() % 10**9
    task = stack.submit(STUBBORN.replace("{n}", str(mark)))
    wait_for(lambda: len(survivors(mark)) == 5)
    assert stack.post(f"/api/v1/tasks/{task}/cancel/").status_code == 202
    ended = stack.wait_final(task, seconds=12)
    assert (ended["status"], ended["reason"]) == ("canceled", "user_cancel")
    assert survivors(mark) == []


def test_cancel_while_waiting_is_immediate(stack: Stack) -> None:
    task = stack.submit("true", cpu_cores=100_000)
    assert stack.post(f"/api/v1/tasks/{task}/cancel/").status_code == 202
    assert stack.task(task)["status"] == "canceled"


def test_cancel_of_a_finished_task_is_a_conflict(stack: Stack) -> None:
    task = stack.submit("true")
    stack.wait_final(task)
    answer = stack.post(f"/api/v1/tasks/{task}/cancel/")
    assert (answer.status_code, answer.json()["code"]) == (409, "task_ended")


def test_background_child_does_not_hold_the_end_back(stack: Stack) -> None:
    mark = time.monotonic_ns() % 10**9
    task = stack.wait_final(stack.submit(f"sleep 4321.{mark} & echo done"), seconds=10)
    assert task["status"] == "completed"
    assert stack.log(task["id"]) == b"done\n"
    assert survivors(mark) == []
