"""The disk of an agent or of the server fills up, turns read-only, or loses its power."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import Stack, wait_for
from tests.faults.disks import SERVERS_SIZE_MB, Disk, own_disk
from tests.faults.lab import SLOTS, Lab, repeat, running_lab
from tests.faults.trials import trials

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of disks")]

POWER, FULL = "power cut (ext4 shutdown) of agent and server", "disk full, no inodes, read-only"
AGENT = "host1"
ENOUGH_RUNNING = 4


def start_agent(lab: Lab) -> None:
    """Start the agent whose state directory is on the disk."""
    lab.stack.start_agent(AGENT, AGENT_TASK_MAX_CONCURRENT_TASKS=SLOTS)


def kill_host(stack: Stack) -> None:
    """Kill everything that lives on the agent's disk: main agent, zygote, sub-agents, scripts.

    No host loses a script before its sub-agent: that would report a script that was killed.
    So nothing may start while the list is made, and parents are killed before children.
    """
    agent = psutil.Process(stack.agents.pop(AGENT).pid)
    for starter in (agent, *agent.children()):
        with contextlib.suppress(psutil.NoSuchProcess):
            starter.suspend()
    family = [agent, *agent.children(recursive=True)]
    state = str(stack.directory / f"agent-{AGENT}")
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if state in process.environ().get("DIALER_TASK_DIRECTORY", ""):
                family.append(process)
    for process in family:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(family, timeout=10)


def cut_agents_power(lab: Lab, disk: Disk) -> None:
    """The host goes dark and comes back."""
    lab.losses_allowed = True
    disk.cut_power()
    kill_host(lab.stack)
    disk.unmount()
    disk.mount()
    start_agent(lab)


def cut_servers_power(lab: Lab, disk: Disk) -> None:
    """The server's machine goes dark and comes back; its agents go on meanwhile."""
    disk.cut_power()
    lab.stack.kill_server()
    disk.unmount()
    disk.mount()
    lab.stack.start_server()


def fill(lab: Lab, disk: Disk) -> None:
    """No space for a while."""
    disk.fill()
    lab.pause(2)
    disk.free()


def stay_full(lab: Lab, disk: Disk) -> None:
    """No space until all that runs has ended: its exit codes do not wait for space."""
    wait_for(lambda: lab.running() >= ENOUGH_RUNNING)

    def all_ended() -> bool:
        # Whatever a task that has ended gives back is taken at once.
        disk.fill()
        return not lab.running()

    wait_for(all_ended, seconds=30)
    disk.free()


def use_all_inodes(lab: Lab, disk: Disk) -> None:
    """No new files for a while."""
    disk.use_all_inodes()
    lab.pause(2)
    disk.free()


def turn_read_only(lab: Lab, disk: Disk) -> None:
    """The agent comes back to a disk that it may not write, says so, and later may."""
    kill_host(lab.stack)
    lab.losses_allowed = True
    disk.unmount()
    disk.mount("ro")
    agent = lab.stack.spawn_agent(AGENT)
    assert agent.wait(30) == 7, lab.stack.output_of(f"agent-{AGENT}")
    disk.unmount()
    disk.mount()
    start_agent(lab)


def test_agents_disk_loses_power(tmp_path: Path) -> None:
    count = trials(POWER, short=2, long=50)
    with own_disk(tmp_path, f"agent-{AGENT}") as disk, running_lab(tmp_path, agents=()) as lab:
        start_agent(lab)
        assert repeat(lab, count, lambda: cut_agents_power(lab, disk)) == []


def test_servers_disk_loses_power(tmp_path: Path) -> None:
    count = trials(POWER, short=1, long=50)
    with (
        own_disk(tmp_path, "data", size_mb=SERVERS_SIZE_MB) as disk,
        running_lab(tmp_path) as lab,
    ):
        assert repeat(lab, count, lambda: cut_servers_power(lab, disk)) == []


@pytest.mark.parametrize("fault", [fill, stay_full, use_all_inodes, turn_read_only])
def test_agents_disk_takes_nothing(tmp_path: Path, fault: Callable[[Lab, Disk], None]) -> None:
    count = trials(FULL, short=1, long=20)
    with (
        own_disk(tmp_path, f"agent-{AGENT}", inodes=2_000) as disk,
        running_lab(tmp_path, agents=()) as lab,
    ):
        start_agent(lab)
        # A task that was accepted just before the disk filled up cannot be written down.
        lab.starts_may_fail = True
        assert repeat(lab, count, lambda: fault(lab, disk)) == []


@pytest.mark.parametrize("fault", [fill, use_all_inodes])
def test_servers_disk_takes_nothing(tmp_path: Path, fault: Callable[[Lab, Disk], None]) -> None:
    count = trials(FULL, short=1, long=20)
    with (
        own_disk(tmp_path, "data", size_mb=SERVERS_SIZE_MB, inodes=2_000) as disk,
        running_lab(tmp_path) as lab,
    ):
        assert repeat(lab, count, lambda: fault(lab, disk)) == []
