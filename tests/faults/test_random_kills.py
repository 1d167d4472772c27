"""Agent, zygote and server are killed again and again at random moments while tasks run.

Every task accepted by the API ends as the ledger says, starts at most once, has exactly
one end and every byte of its log; nothing is left running and nobody lends a hand.
"""

from __future__ import annotations

import random
import sqlite3
import time
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, wait_for
from tests.faults.ledger import Ledger

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

TASKS = 60
KILLS = 10
SLOTS = "8"


def kill_and_restart(stack: Stack, fault: str) -> None:
    """Kill one part of the installation and start it again."""
    if fault == "server":
        stack.kill_server()
        stack.start_server()
        return
    if fault == "agent":
        stack.kill_agent()
    else:
        stack.kill_agent_and_zygote()
    stack.start_agent(AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)


def final_events(stack: Stack) -> dict[int, int]:
    """Return how many ends each task's timeline shows."""
    database = sqlite3.connect(stack.data / "database" / "dialer.sqlite3")
    with database:
        return dict(
            database.execute(
                "SELECT task_id, count(*) FROM tasks_taskevent"
                " WHERE kind IN ('completed', 'failed', 'canceled') GROUP BY task_id"
            ).fetchall()
        )


def test_nothing_is_lost_doubled_or_left_behind(own_stack: Stack, tmp_path: Path) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ledger = Ledger(tmp_path / "ledger", lines=25)
    own_stack.start_agent(AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)
    ids = [own_stack.submit(ledger.script, name=f"task {n}") for n in range(TASKS)]
    for _ in range(KILLS):
        time.sleep(chance.uniform(0, 0.6))
        kill_and_restart(own_stack, chance.choice(["agent", "agent and zygote", "server"]))
    wait_for(
        lambda: not own_stack.get("/api/v1/tasks/?status=running&status=waiting").json()["count"],
        seconds=90,
    )
    tasks = {task_id: own_stack.task(task_id) for task_id in ids}
    starts, ends = ledger.count("START"), ledger.count("END")
    assert set(starts.values()) <= {1}
    assert final_events(own_stack) == dict.fromkeys(ids, 1)
    for task_id, task in tasks.items():
        if task["reason"] == "supervisor_lost":
            assert not starts[task_id], "killed between order and claim: it must not have begun"
            continue
        assert (task["status"], ends[task_id]) == ("completed", 1)
        assert own_stack.log(task_id) == ledger.expected_log(task_id)
