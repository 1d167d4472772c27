"""From submission to the script's first instruction, and from one task to the next."""

from __future__ import annotations

import time

from bench.figures import Row, row_of
from tests.e2e.stack import Stack

# The first thing the script does is to tell the time, without starting a process.
TELL_TIME = "#!/bin/bash\necho $EPOCHREALTIME\n"
_WARM_UP = 3
_SLEEP_SECONDS = 0.3
_QUIET_SECONDS = 0.2
"""Before anybody asks for the task's state, and so also before the next submission: the
server and the agent are idle but for the one task."""


def submit_to_start(stack: Stack, *, name: str, n: int, floor: float, goal: float | None) -> Row:
    """Submit n scripts one by one; the wait for each one's end is not counted."""
    values = []
    for number in range(_WARM_UP + n):
        before = time.time()
        task_id = stack.submit(TELL_TIME)
        time.sleep(_QUIET_SECONDS)
        stack.wait_final(task_id)
        if number >= _WARM_UP:
            values.append((_told(stack, task_id) - before) * 1000)
    return row_of(name, "ms", values, floor=floor, goal=goal)


def dependency_hop(stack: Stack, n: int) -> Row:
    """Let a task wait for another; from the last instruction of one to the first of the other."""
    values = []
    for _ in range(n):
        first = stack.submit(f"#!/bin/bash\nsleep {_SLEEP_SECONDS}\necho $EPOCHREALTIME\n")
        second = stack.submit(TELL_TIME, depends_on=[first])
        time.sleep(_SLEEP_SECONDS + _QUIET_SECONDS)
        stack.wait_final(second)
        values.append((_told(stack, second) - _told(stack, first)) * 1000)
    return row_of("dependency hop", "ms", values, floor=100, goal=20)


def _told(stack: Stack, task_id: int) -> float:
    """Return the time that the task's script told."""
    task = stack.task(task_id)
    if task["status"] != "completed":
        raise RuntimeError(f"task {task_id} is {task['status']}: {task.get('reason_detail')}")
    return float(stack.log(task_id))
