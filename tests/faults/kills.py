"""Kill faults: which processes are killed, and how the installation is started again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import psutil

from tests.e2e.stack import wait_for
from tests.faults.lab import SLOTS, Lab


def kill_agents(lab: Lab, *, with_zygote: bool = False) -> None:
    """Kill every agent at once (a trial each) and start them again."""
    names = list(lab.stack.agents)
    for name in names:
        if with_zygote:
            lab.stack.kill_agent_and_zygote(name)
        else:
            lab.stack.kill_agent(name)
    for name in names:
        lab.stack.start_agent(name, AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)


def kill_server(lab: Lab) -> None:
    """Kill the server with its housekeeping and start it again."""
    lab.stack.kill_server()
    lab.stack.start_server()


def kill_sub_agents(lab: Lab, count: int = 4) -> None:
    """Kill some sub-agents of running scripts (a trial each); waits until there are as many."""
    lab.losses_allowed = True
    for process in lab.chance.sample(wait_for(lambda: _enough(lab, count)), count):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _enough(lab: Lab, count: int) -> list[psutil.Process]:
    """Return the sub-agents when there are so many, else see to it that there will be."""
    found = sub_agents(lab)
    if len(found) >= count:
        return found
    # On a slow machine all tasks may have ended between the last submission and this look.
    lab.keep_busy(40)
    return []


def sub_agents(lab: Lab) -> list[psutil.Process]:
    """Return the sub-agents of all agents: children of a zygote."""
    found: list[psutil.Process] = []
    for agent in lab.stack.agents.values():
        for child in psutil.Process(agent.pid).children():
            # Each by itself: a dead one among them must not hide the zygote.
            with contextlib.suppress(psutil.NoSuchProcess):
                if any("zygote" in word for word in child.cmdline()):
                    found += child.children()
    return found


AGENT_FAULTS: dict[str, Callable[[Lab], None]] = {
    "main agent": kill_agents,
    "agent and zygote": lambda lab: kill_agents(lab, with_zygote=True),
    "sub-agent": kill_sub_agents,
}
