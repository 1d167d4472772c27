"""Kill faults: which processes are killed, and how the installation is started again.

Every kill proves that it hit a living process; what it excuses is the tasks of the
sub-agents that were hit, and as many starts as an agent can have in the making.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable

import psutil

from tests.e2e.stack import wait_for
from tests.faults.database import lease_holder
from tests.faults.hosts import Supervisor, supervisors
from tests.faults.lab import SLOTS, Lab

LONGEST_START_SECONDS = 2.0
KILLED_AT_ONCE = 4
LEASE_SECONDS = 60.0
"""A lease ages for 30 s, and whoever stands by looks every 8 s."""


def zygote_of(lab: Lab, agent: str) -> psutil.Process | None:
    """Return the process that forks an agent's sub-agents, None while there is none."""
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(lab.stack.agents[agent].pid).children():
            # Each by itself: a dead one among them must not hide the zygote.
            with contextlib.suppress(psutil.Error):
                if any("zygote" in word for word in child.cmdline()):
                    return child
    return None


def kill_agent(lab: Lab, name: str, *, with_zygote: bool = False) -> None:
    """SIGKILL the main agent of a host, alone or with its zygote; both are seen alive before."""
    agent = lab.stack.agents[name]
    assert agent.poll() is None, f"the agent had ended: {lab.stack.output_of(f'agent-{name}')}"
    zygote = wait_for(lambda: zygote_of(lab, name)) if with_zygote else None
    lab.excuses.starts_lost += int(SLOTS)
    lab.stack.agents.pop(name)
    agent.kill()
    if zygote is not None:
        zygote.kill()
    assert agent.wait(30) == -signal.SIGKILL


def kill_agents(lab: Lab, *, with_zygote: bool = False) -> int:
    """Kill every agent and start them again; half of the next kills meet them in their start.

    Returns how many were killed.
    """
    names = list(lab.stack.agents)
    for name in names:
        kill_agent(lab, name, with_zygote=with_zygote)
    is_awaited = lab.chance.random() < 0.5
    for name in names:
        lab.start_agent(name, is_awaited=False)
    if is_awaited:
        wait_online(lab, names)
    else:
        lab.pause(LONGEST_START_SECONDS)
    return len(names)


def wait_online(lab: Lab, names: list[str]) -> None:
    """Wait until each of the hosts has a zygote and is online."""
    for name in names:
        wait_for(lambda n=name: zygote_of(lab, n), seconds=60)
        wait_for(lambda n=name: lab.stack.online_agent(n), seconds=60, each=0.2)


def kill_sub_agents(lab: Lab) -> int:
    """Kill some sub-agents of running scripts; returns how many were hit, at least one."""
    names = list(lab.stack.agents)

    def some() -> list[Supervisor]:
        found = [one for name in names for one in supervisors(lab.stack, name)]
        if not found:
            # On a slow machine all tasks may have ended since the last submission.
            lab.keep_busy(40)
        return found

    def hit() -> int:
        found = wait_for(some, seconds=60)
        chosen = lab.chance.sample(found, min(KILLED_AT_ONCE, len(found)))
        killed = [one for one in chosen if one.signal(signal.SIGKILL)]
        lab.excuses.supervisor_killed.update(one.task_id for one in killed)
        return len(killed)

    return wait_for(hit, seconds=60)


def kill_all_on_host(lab: Lab, name: str) -> int:
    """Kill agent, zygote and every sub-agent at once; the scripts live on alone.

    Returns how many sub-agents were hit. Whoever comes next has to end what they left.
    """
    agent = lab.stack.agents.pop(name)
    processes = [psutil.Process(agent.pid), wait_for(lambda: _zygote_below(agent.pid))]
    for process in processes:
        # Nothing may start while the list is made.
        process.suspend()
    found = supervisors(lab.stack, name)
    hit = [one for one in found if one.signal(signal.SIGKILL)]
    lab.excuses.supervisor_killed.update(one.task_id for one in hit)
    lab.excuses.starts_lost += int(SLOTS)
    for process in processes:
        process.kill()
    assert agent.wait(30) == -signal.SIGKILL
    return len(hit)


def _zygote_below(pid: int) -> psutil.Process | None:
    children = psutil.Process(pid).children()
    return next((one for one in children if any("zygote" in w for w in one.cmdline())), None)


def kill_agents_and_sub_agents(lab: Lab) -> int:
    """Kill all of the product's processes of every host; returns how many hosts ran tasks."""
    names = list(lab.stack.agents)
    lab.wait_running(len(names) * 2)
    hosts = [name for name in names if kill_all_on_host(lab, name)]
    for name in names:
        lab.start_agent(name, is_awaited=False)
    wait_online(lab, names)
    return len(hosts)


def kill_server(lab: Lab, *, until: Callable[[], object] = lambda: None) -> None:
    """Kill the server with its housekeeping and start it again, once `until` has returned."""
    server = lab.stack.server
    assert server is not None and server.poll() is None, lab.stack.output_of("server")
    lab.stack.kill_server()
    assert server.returncode == -signal.SIGKILL
    until()
    lab.stack.start_server()


def kill_housekeeping(lab: Lab, *, until: Callable[[], object]) -> None:
    """Kill the process beside the server while it does the periodic work.

    It is started again once `until` has returned.
    """
    process = lab.stack.housekeeping
    assert process is not None and process.poll() is None, lab.stack.output_of("housekeeping")
    assert holds_lease(lab, process.pid)
    lab.stack.kill_housekeeping()
    assert process.returncode == -signal.SIGKILL
    until()
    lab.stack.start_housekeeping()


def holds_lease(lab: Lab, pid: int) -> bool:
    """Return whether the process of that number does the periodic work."""
    return lease_holder(lab.stack).split(":")[1:2] == [str(pid)]


def wait_lease(lab: Lab, *, of_server: bool) -> None:
    """Wait until the server, or else the process beside it, does the periodic work."""

    def taken() -> bool:
        process = lab.stack.housekeeping
        is_beside = process is not None and holds_lease(lab, process.pid)
        return bool(lease_holder(lab.stack)) and is_beside != of_server

    wait_for(taken, seconds=LEASE_SECONDS, each=0.2)


AGENT_FAULTS: dict[str, Callable[[Lab], int]] = {
    "main agent": kill_agents,
    "agent and zygote": lambda lab: kill_agents(lab, with_zygote=True),
    "sub-agent": kill_sub_agents,
    "all at once": kill_agents_and_sub_agents,
}
