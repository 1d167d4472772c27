"""A host or a server machine goes dark: everything that lives on a disk ends with it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from agent_client.sub_agent import records
from tests.faults.disks import Disk
from tests.faults.hosts import state_of, task_directories
from tests.faults.lab import SLOTS, Lab

HOST = "host1"


def kill_host(lab: Lab, name: str = HOST) -> None:
    """Kill everything that lives on the agent's disk: main agent, zygote, sub-agents, scripts.

    All of it is stopped first: no host loses a script before its sub-agent, which would
    report a script that was killed.
    """
    popen = lab.stack.agents.pop(name)
    family = stop_all(psutil.Process(popen.pid), str(state_of(lab.stack, name)))
    excuse_claimed(lab, name)
    lab.excuses.starts_lost += int(SLOTS)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    popen.wait(10)
    psutil.wait_procs(family, timeout=10)


def stop_all(agent: psutil.Process, state: str) -> list[psutil.Process]:
    """Stop an agent, all below it and the processes of its tasks, until no new one is seen."""
    family: list[psutil.Process] = []
    while found := _living(agent, state).difference(family):
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        family += found
    return family


def _living(agent: psutil.Process, state: str) -> set[psutil.Process]:
    """Return an agent, all below it and whoever carries the directory of one of its tasks."""
    found = {agent, *agent.children(recursive=True)}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if state in process.environ().get("DIALER_TASK_DIRECTORY", ""):
                found.add(process)
    return found


def excuse_claimed(lab: Lab, name: str) -> None:
    """Excuse the tasks that a sub-agent has taken on this host, also ended and not yet synced."""
    for task_id, path in task_directories(lab.stack, name).items():
        if (path / records.CLAIM).exists():
            lab.excuses.supervisor_killed.add(task_id)


@contextmanager
def starts_hindered(lab: Lab) -> Iterator[None]:
    """Excuse the starts that a disk may hinder meanwhile: of what waits, or comes, and is taken.

    What still waits on the server afterwards has met no disk.
    """
    started = set(lab.ledger.count("START"))
    yield
    waiting = {
        one["id"]
        for status in ("waiting", "blocked")
        for one in lab.stack.get(f"/api/v1/tasks/?status={status}&page_size=500").json()["results"]
    }
    lab.excuses.start_hindered.update(set(lab.accepted) - started - waiting)


def cut_power(disk: Disk, machine: psutil.Process) -> None:
    """Cut the power of a disk and of the processes that speak for it, at one moment.

    A sync that is under way when ext4 is shut down may return as if it had succeeded. Where
    the power goes nobody hears that: so they stop first, each where its call returns.
    """
    for process in (machine, *machine.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
    disk.cut_power()
    assert disk.refusal() == "EIO"


def agent_without_power(lab: Lab, disk: Disk) -> None:
    """The host goes dark and comes back."""
    cut_power(disk, psutil.Process(lab.stack.agents[HOST].pid))
    kill_host(lab)
    bring_host_back(lab, disk)


def agent_with_a_broken_disk(lab: Lab, disk: Disk) -> None:
    """The disk turns read-only under a running agent, until the host is restarted."""
    with starts_hindered(lab):
        disk.turn_read_only()
        lab.pause(2)
        assert disk.refusal() == "EROFS"
        kill_host(lab)
        bring_host_back(lab, disk)


def agent_started_read_only(lab: Lab, disk: Disk) -> None:
    """The agent comes back to a disk that it may not write, says so, and later may."""
    kill_host(lab)
    disk.unmount()
    disk.mount("ro")
    assert disk.refusal() == "EROFS"
    lab.start_agent(HOST, is_awaited=False)
    agent = lab.stack.agents.pop(HOST)
    assert agent.wait(60) == 7, lab.stack.output_of(f"agent-{HOST}")
    bring_host_back(lab, disk)


def bring_host_back(lab: Lab, disk: Disk) -> None:
    """Mount the disk anew and start the agent on it."""
    disk.unmount()
    disk.mount()
    lab.start_agent(HOST)


def server_without_power(lab: Lab, disk: Disk) -> None:
    """The server's machine goes dark and comes back; its agents go on meanwhile."""
    assert lab.stack.server is not None
    cut_power(disk, psutil.Process(lab.stack.server.pid))
    bring_server_back(lab, disk)


def server_with_a_broken_disk(lab: Lab, disk: Disk) -> None:
    """The disk turns read-only under a running server, until its machine is restarted."""
    disk.turn_read_only()
    lab.pause(2)
    assert disk.refusal() == "EROFS"
    bring_server_back(lab, disk)


def bring_server_back(lab: Lab, disk: Disk) -> None:
    """Kill the server, mount its disk anew and start it."""
    assert lab.stack.server is not None and lab.stack.server.poll() is None
    lab.stack.kill_server()
    disk.unmount()
    disk.mount()
    lab.stack.start_server()


def fill(lab: Lab, disk: Disk) -> None:
    """No space for a while."""
    _keep(lab, disk, disk.fill)


def use_all_inodes(lab: Lab, disk: Disk) -> None:
    """No new files for a while."""
    _keep(lab, disk, disk.use_all_inodes)


def _keep(lab: Lab, disk: Disk, use_up: object) -> None:
    """Use something up again and again for a while; whatever becomes free is taken at once."""
    assert callable(use_up)
    until = time.monotonic() + lab.chance.uniform(0.5, 2)
    refused = False
    while time.monotonic() < until or not refused:
        use_up()
        refused |= disk.refusal() == "ENOSPC"
    disk.free()
    assert disk.refusal() == ""
