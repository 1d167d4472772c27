"""Agent, zygote and server are killed while scripts print: nothing is lost or doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.stack import Stack, wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("restarts")]

TASKS = 20
LINES = 60
SCRIPT = """
echo started >> {ledger}
for i in $(seq 1 {lines}); do echo "line $i"; sleep 0.05; done
"""


def start_tasks(stack: Stack, ledger: Path) -> list[int]:
    """Submit the printing scripts and wait until all run."""
    stack.start_agent(AGENT_TASK_MAX_CONCURRENT_TASKS=str(TASKS))
    script = SCRIPT.format(ledger=ledger, lines=LINES)
    ids = [stack.submit(script, name=f"print {n}") for n in range(TASKS)]
    wait_for(lambda: ledger.exists() and len(ledger.read_text().splitlines()) == TASKS)
    return ids


def check(stack: Stack, ids: list[int], ledger: Path) -> None:
    """Every task completed, every line once, none started twice."""
    expected = "".join(f"line {n}\n" for n in range(1, LINES + 1)).encode()
    for task_id in ids:
        assert stack.wait_final(task_id, seconds=40)["status"] == "completed"
        assert stack.log(task_id) == expected
    assert len(ledger.read_text().splitlines()) == TASKS


def test_tasks_survive_a_killed_agent(own_stack: Stack, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ids = start_tasks(own_stack, ledger)
    own_stack.kill_agent()
    own_stack.start_agent(AGENT_TASK_MAX_CONCURRENT_TASKS=str(TASKS))
    check(own_stack, ids, ledger)


def test_tasks_survive_a_killed_agent_and_zygote(own_stack: Stack, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ids = start_tasks(own_stack, ledger)
    own_stack.kill_agent_and_zygote()
    own_stack.start_agent(AGENT_TASK_MAX_CONCURRENT_TASKS=str(TASKS))
    check(own_stack, ids, ledger)


def test_tasks_survive_a_killed_server(own_stack: Stack, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    ids = start_tasks(own_stack, ledger)
    own_stack.kill_server()
    own_stack.start_server()
    check(own_stack, ids, ledger)
