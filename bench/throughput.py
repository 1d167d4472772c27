"""How many scripts that do nothing get through, all the way to `completed` in the store."""

from __future__ import annotations

import time

import psutil

from bench.figures import Row
from bench.idle import cpu_seconds, tree_of
from tests.e2e.stack import Stack, wait_for

_BATCH = 500
_LOOK_SECONDS = 0.1


def no_op_tasks(stack: Stack, agent: psutil.Process, n: int = _BATCH) -> list[Row]:
    """Submit n times `true` in one batch and wait until all have completed."""
    name = f"bench-{time.time_ns()}"
    body = [
        {"name": name, "template_type": "bench", "script_content": "true\n", "cpu_cores": 0}
    ] * n
    assert stack.server is not None
    server, host = tree_of(stack.server.pid), tree_of(agent.pid)
    spent = {"server": -cpu_seconds(server), "agent": -cpu_seconds(host)}
    began = time.perf_counter()
    answer = stack.post("/api/v1/tasks/batch/", body)
    if answer.status_code != 201:
        raise RuntimeError(f"batch: HTTP {answer.status_code} {answer.text[:300]}")
    submitted = time.perf_counter() - began
    wait_for(lambda: _completed(stack, name) == n, seconds=300, each=_LOOK_SECONDS)
    elapsed = time.perf_counter() - began
    spent["server"] += cpu_seconds(server)
    spent["agent"] += cpu_seconds(host)
    rate = Row(
        "no-op tasks, 8 slots",
        "1/s",
        n / elapsed,
        n=n,
        floor=80,
        goal=300,
        more_is_better=True,
        note=f"submitted in {submitted * 1000:.0f} ms, all done in {elapsed:.2f} s",
    )
    costs = [
        Row(f"  CPU of the {name} for each", "ms", seconds * 1000 / n)
        for name, seconds in spent.items()
    ]
    return [rate, *costs]


def _completed(stack: Stack, name: str) -> int:
    query = {"name": name, "status": "completed", "page_size": 1}
    return int(stack.get("/api/v1/tasks/", params=query).json()["count"])
