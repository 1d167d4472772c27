"""System calls of the main agent fail for real, injected from outside by strace."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest

from tests.faults.lab import SLOTS, Lab, running_lab
from tests.faults.test_steps import are_final, end_agent
from tests.faults.trials import trials
from tests.services import missing

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of cancel")]

ROW = "n-th system call fails, by strace"
CALLS = ("fsync", "rename", "openat", "write", "sendto", "mkdir")
FAULTS = ("error=EIO", "error=ENOSPC", "error=EINTR", "signal=KILL")


def injections() -> list[str]:
    """Return what strace is told, calls and faults mixed, later and later in the agent's life."""
    pairs = list(itertools.product(CALLS, FAULTS))
    return [
        f"{call}:{fault}:when={when}"
        for when in range(2, 400, 7)
        for call, fault in pairs[when % 3 :: 3]
    ]


def run_under(lab: Lab, injection: str) -> None:
    """Give the traced agent tasks; whatever becomes of it, one without faults finishes them."""
    agent = lab.stack.spawn_agent(
        "host1",
        program=("-m", "tests.faults.straced_agent", injection),
        AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS,
    )
    ids = lab.submit(4)
    for _ in range(60):
        if agent.poll() is not None or are_final(lab, ids):
            break
        lab.pause(0.1)
    end_agent(lab, "host1")
    lab.stack.start_agent("host1", AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)
    lab.settle()
    end_agent(lab, "host1")


def test_agent_survives_failing_system_calls(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        missing("strace", FileNotFoundError("strace"))
    count = trials(ROW, short=3, long=120)
    with running_lab(tmp_path, lines=5) as lab:
        lab.losses_allowed = True
        end_agent(lab, "host1")
        for injection in lab.chance.sample(injections(), count):
            run_under(lab, injection)
        assert lab.verdict() == []
