"""kill -9 at every numbered step of start, ship and finish, of agents and sub-agents."""

from __future__ import annotations

import contextlib
import itertools
import signal
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import wait_for
from tests.faults.crash_points import KILL
from tests.faults.lab import SLOTS, Lab, running_lab
from tests.faults.trials import IS_LONG, trials

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

ERRORS_ROW = "n-th write, fsync, rename, open fails (EIO, ENOSPC)"
ROW = "kill -9 on the host: at numbered steps"
AGENTS = ("a", "b", "c", "d")
MAIN_STEPS, SUB_AGENT_STEPS = 60, 90
"""More than a task of five lines takes: the last ones end unharmed, which proves the range."""


def numbers(last: int, *, short: int, row: str = ROW) -> list[int]:
    """Return the steps to kill at: all of them, as often as asked, or an even sample."""
    count = trials(row, short=short, long=3 * last)
    if not IS_LONG:
        return [1 + index * last // count for index in range(count)]
    return list(itertools.islice(itertools.cycle(range(1, last + 1)), count))


def start_crashing(lab: Lab, name: str, *words: str) -> str:
    """Start an agent that will be struck, or its sub-agents."""
    state = str(lab.stack.directory / f"agent-{name}")
    program = ("-m", "tests.faults.crashing_agent", *words, state)
    return lab.stack.start_agent(name, program=program, AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)


def end_agent(lab: Lab, name: str) -> bool:
    """End an agent; returns whether it had killed itself."""
    process = lab.stack.agents.pop(name)
    with contextlib.suppress(psutil.NoSuchProcess):
        process.terminate()
    return process.wait(20) == -signal.SIGKILL


def struck_at(lab: Lab, steps: list[int], fault: str = KILL) -> int:
    """Give each agent a task and its own step to die at, then start it again unharmed.

    Returns how many have died.
    """
    names = AGENTS[: len(steps)]
    before = len(lab.accepted)
    for name, step in zip(names, steps, strict=True):
        lab.submit(1, agent_id=start_crashing(lab, name, fault, str(step)))
    accepted, killed = lab.accepted[before:], 0
    for name, task_id in zip(names, accepted, strict=True):
        agent = lab.stack.agents[name]
        wait_for(lambda a=agent, t=task_id: a.poll() is not None or is_final(lab, t), seconds=60)
        killed += end_agent(lab, name)
    for name in names:
        lab.stack.start_agent(name, AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)
    wait_for(lambda: are_final(lab, accepted), seconds=60)
    for name in names:
        end_agent(lab, name)
    return killed


def is_final(lab: Lab, task_id: int) -> bool:
    """Return whether a task has ended."""
    return lab.stack.task(task_id)["status"] in ("completed", "failed", "canceled")


def are_final(lab: Lab, ids: list[int]) -> bool:
    """Return whether all have ended."""
    return all(is_final(lab, task_id) for task_id in ids)


def test_main_agent_killed_at_its_steps(tmp_path: Path) -> None:
    steps = numbers(MAIN_STEPS, short=12)
    with running_lab(tmp_path, agents=(), lines=5) as lab:
        rounds = [steps[start : start + len(AGENTS)] for start in range(0, len(steps), len(AGENTS))]
        killed = sum(struck_at(lab, some) for some in rounds)
        assert lab.verdict() == []
    assert len(steps) / 2 < killed < len(steps), "the numbers must span all steps"


def test_sub_agent_killed_at_its_steps(tmp_path: Path) -> None:
    """Every sub-agent takes the next number, so one batch of tasks meets every step."""
    count = trials(ROW, short=SUB_AGENT_STEPS, long=3 * SUB_AGENT_STEPS)
    counter = tmp_path / "numbers"
    counter.touch()
    with running_lab(tmp_path, agents=(), lines=5) as lab:
        lab.losses_allowed = True
        start_crashing(lab, "a", KILL, "zygote", str(counter))
        for _ in range(max(1, count // SUB_AGENT_STEPS)):
            counter.write_text("0")
            lab.submit(min(count, SUB_AGENT_STEPS))
            lab.settle()
        assert lab.verdict() == []
        lost = sum(lab.stack.task(task_id)["status"] == "failed" for task_id in lab.accepted)
        assert len(lab.accepted) / 4 < lost < len(lab.accepted), "the numbers must span all steps"


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_every_call_of_a_sub_agent_fails_once(tmp_path: Path, error: str) -> None:
    """A task may fail to start or lose bytes, which it then says; it never lies."""
    count = trials(ERRORS_ROW, short=SUB_AGENT_STEPS, long=3 * SUB_AGENT_STEPS)
    counter = tmp_path / "numbers"
    counter.touch()
    with running_lab(tmp_path, agents=(), lines=5) as lab:
        lab.losses_allowed = True
        start_crashing(lab, "a", error, "zygote", str(counter))
        for _ in range(max(1, count // SUB_AGENT_STEPS)):
            counter.write_text("0")
            lab.submit(min(count, SUB_AGENT_STEPS))
            lab.settle()
        assert lab.verdict() == []


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
def test_every_call_of_the_main_agent_fails_once(tmp_path: Path, error: str) -> None:
    steps = numbers(MAIN_STEPS, short=4, row=ERRORS_ROW)
    with running_lab(tmp_path, agents=(), lines=5) as lab:
        lab.losses_allowed = True
        for start in range(0, len(steps), len(AGENTS)):
            struck_at(lab, steps[start : start + len(AGENTS)], error)
        assert lab.verdict() == []
