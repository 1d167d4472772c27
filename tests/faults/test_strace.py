"""System calls of main agent and sub-agents fail for real, injected from outside by strace.

The agent is attached to once it is online: what it does while it holds tasks is struck, not
what Python reads to begin. Each call is struck at its first, second … time until there is
none; in the suite a sample of them.
"""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.hosts import state_of
from tests.faults.kills import wait_online, zygote_of
from tests.faults.lab import Lab, running_lab
from tests.faults.strace import (
    AGENT_CALLS,
    FAULTS,
    KILL,
    SUB_AGENT_CALLS,
    Injection,
    traced,
)
from tests.faults.striking import are_final, wait_final
from tests.faults.trials import IS_LONG, planned
from tests.services import missing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.CALLS),
    pytest.mark.xdist_group("faults of calls"),
]

HOST = "host1"
TASKS = 2
SHORT_LAST = 4
MOST_TIMES = 30
"""A call that is made more often (openat of /proc) is struck so often and no more."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    if shutil.which("strace") is None:
        missing("strace", FileNotFoundError("strace"))
    with running_lab(tmp_path, lines=5, wide_each=TASKS) as found:
        found.excuses.cuts_allowed = True
        yield found


Kind = tuple[bool, str, str]
"""Of sub-agents or of the main agent, which calls, which fault."""
WHOLE = [
    pytest.param(False, AGENT_CALLS, id="main agent"),
    pytest.param(True, SUB_AGENT_CALLS, id="sub-agents"),
]
EACH = [
    pytest.param(is_of_sub_agents, (calls,), id=f"{name}: {calls}")
    for name, is_of_sub_agents, all_calls in (
        ("main agent", False, AGENT_CALLS),
        ("sub-agents", True, SUB_AGENT_CALLS),
    )
    for calls in all_calls
]
"""In the long form each call is a test: hundreds of strikes, which others can share."""


@pytest.mark.parametrize(("is_of_sub_agents", "calls"), EACH if IS_LONG else WHOLE)
def test_system_calls_fail_one_by_one(
    lab: Lab, is_of_sub_agents: bool, calls: tuple[str, ...]
) -> None:
    kinds = [(is_of_sub_agents, *pair) for pair in itertools.product(calls, FAULTS)]
    if IS_LONG:
        for kind in lab.chance.sample(kinds, min(len(kinds), planned(short=0, long=len(kinds)))):
            strike_each_time(lab, kind)
    else:
        strike_some(lab, kinds, planned(short=6, long=0))
    assert lab.verdict() == []


def strike_each_time(lab: Lab, kind: Kind) -> None:
    """Strike the first, the second … call of a kind until there is none."""
    for when in range(1, MOST_TIMES + 1):
        if not strike(lab, Injection(*kind, when=when)):
            return


def strike_some(lab: Lab, kinds: list[Kind], count: int) -> None:
    """Strike so many times, each at a random call and time."""
    while lab.trials < count:
        strike(lab, Injection(*lab.chance.choice(kinds), when=lab.chance.randint(1, SHORT_LAST)))


def strike(lab: Lab, injection: Injection) -> bool:
    """Give the traced agent tasks; whatever becomes of it, one without faults finishes them.

    Counts a trial, and returns True, when strace says that it has injected.
    """
    wait_online(lab, [HOST])
    agent = lab.stack.agents[HOST]
    zygote = wait_for(lambda: zygote_of(lab, HOST)).pid
    traced_pid = zygote if injection.is_of_sub_agents else agent.pid
    with traced([traced_pid], injection, lab.stack.directory) as trace:
        ids = lab.submit(TASKS)
        wait_for(lambda: agent.poll() is not None or are_final(lab, ids), seconds=120)
        wait_cleared(lab, agent)
    hit = trace.hit()
    excuse(lab, injection, ids, is_hit=bool(hit))
    if agent.poll() is not None:
        assert hit, lab.stack.output_of(f"agent-{HOST}")
        lab.stack.agents.pop(HOST)
        lab.start_agent(HOST)
    wait_final(lab, ids)
    lab.made(bool(hit))
    return bool(hit)


def wait_cleared(lab: Lab, agent: subprocess.Popen[bytes]) -> None:
    """Wait until the agent has removed what ended; not for long, as a fault may leave some."""
    tasks = state_of(lab.stack, HOST) / "tasks"
    with contextlib.suppress(AssertionError):
        wait_for(lambda: agent.poll() is not None or not any(tasks.iterdir()), seconds=2)


def excuse(lab: Lab, injection: Injection, ids: list[int], *, is_hit: bool) -> None:
    """Excuse what this one call may have cost: of these tasks only."""
    if not is_hit:
        return
    if injection.fault != KILL:
        lab.excuses.start_hindered.update(ids)
    elif injection.is_of_sub_agents:
        lab.excuses.supervisor_killed.update(ids)
    else:
        lab.excuses.starts_lost += TASKS
