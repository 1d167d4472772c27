"""A host vanishes and comes back: before its tasks are given up, and after."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import Stack, running_stack, wait_for

pytestmark = [pytest.mark.e2e]

PATIENT = "for n in $(seq 1 300); do echo line $n; sleep 0.02; done"
SLOW_TO_END = "trap 'sleep 1; exit 0' TERM; echo $$ > {pid}; while :; do sleep 0.1; done"
NEXT = "kill -0 $(cat {pid}) 2>/dev/null && echo beside || echo behind"


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """A server that gives up early, and two hosts with one slot each."""
    with running_stack(tmp_path, DIALER_LOST_GRACE_SECONDS="1") as found:
        for name in ("patient", "lost"):
            found.spawn_agent(name, AGENT_TASK_MAX_CONCURRENT_TASKS="1")
        yield found


def signal_host(stack: Stack, name: str, number: int) -> None:
    """Stop or continue every process of a host: agent, zygote, sub-agents and scripts."""
    agent = psutil.Process(stack.agents[name].pid)
    for process in [agent, *agent.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def give_up_early(stack: Stack, task: int) -> None:
    """Let one task be given up after two seconds; the others have a day."""
    database = sqlite3.connect(stack.data / "database" / "dialer.sqlite3", timeout=30)
    with contextlib.closing(database), database:
        database.execute("UPDATE tasks_task SET lost_after_seconds = 2 WHERE id = ?", [task])


def ends_of(stack: Stack, task: int) -> list[str]:
    """Return every end that a task got."""
    return [kind for kind in events_of(stack, task) if kind in ("completed", "failed", "canceled")]


def events_of(stack: Stack, task: int) -> list[str]:
    """Return what happened to a task, in order."""
    database = sqlite3.connect(stack.data / "database" / "dialer.sqlite3", timeout=30)
    with contextlib.closing(database):
        query = "SELECT kind FROM tasks_taskevent WHERE task_id = ? ORDER BY id"
        return [kind for (kind,) in database.execute(query, [task])]


def test_host_that_returns_in_time_goes_on_and_one_that_is_late_lets_go(
    stack: Stack, tmp_path: Path
) -> None:
    hosts = {name: wait_for(lambda n=name: stack.online_agent(n)) for name in stack.agents}
    pid = tmp_path / "pid"
    kept = stack.submit(PATIENT, agent_id=hosts["patient"])
    lost = stack.submit(SLOW_TO_END.format(pid=pid), agent_id=hosts["lost"])
    wait_for(lambda: stack.log(kept) and pid.exists() and pid.read_text())
    stack.wait_status(lost, "running")
    give_up_early(stack, lost)
    for name in hosts:
        signal_host(stack, name, signal.SIGSTOP)

    # Both show as unreachable; the one that comes back goes on as if nothing had been.
    wait_for(lambda: stack.task(kept)["unreachable"] and stack.task(kept)["status"] == "running")
    signal_host(stack, "patient", signal.SIGCONT)
    after = stack.submit(NEXT.format(pid=pid), agent_id=hosts["lost"])
    given_up = stack.wait_status(lost, "failed")
    assert given_up["reason"] == "agent_lost"

    # The other one is late: its processes end, and only then the next task gets its slot.
    assert psutil.pid_exists(int(pid.read_text()))
    signal_host(stack, "lost", signal.SIGCONT)
    assert stack.wait_final(after)["status"] == "completed"
    assert stack.log(after) == b"behind\n"
    wait_for(lambda: "late_result" in events_of(stack, lost))
    assert stack.task(lost)["status"] == "failed"
    assert stack.task(lost)["reason"] == "agent_lost"

    ended = stack.wait_final(kept)
    assert (ended["status"], ended["exit_code"]) == ("completed", 0)
    assert stack.log(kept) == b"".join(b"line %d\n" % n for n in range(1, 301))
    assert ends_of(stack, kept) == ["completed"]
    assert ends_of(stack, lost) == ["failed"]
