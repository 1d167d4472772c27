"""Run as the first process of its own pid namespace: pids of dead tasks are used again.

`python -m tests.faults.reused_pids DIRECTORY TRIALS PREPARED`. The kernel is told which pid
to give next, in this namespace only. Prints what was violated, how many strangers got the
pid of a script or a sub-agent, and how many of them lived on.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil

from agent_client.sub_agent import records
from tests.e2e import prepared
from tests.e2e.stack import wait_for
from tests.faults.disks import let_go_of_disks
from tests.faults.hosts import task_directories
from tests.faults.lab import Lab, running_lab
from tests.faults.outages import HOST, kill_host

NEXT_PID = Path("/proc/sys/kernel/ns_last_pid")
TRIES = 50
LINES, PAUSE_SECONDS = 600, 0.1


def stranger_with(pid: int) -> subprocess.Popen[bytes]:
    """Start a process that has exactly this pid; raises AssertionError when it cannot be had."""
    for _ in range(TRIES):
        NEXT_PID.write_text(str(pid - 1))
        process = subprocess.Popen(["sleep", "600"], start_new_session=True)
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
    raise AssertionError(f"pid {pid} could not be had")


def pids_of(lab: Lab, task_id: int) -> tuple[int, int]:
    """Return the pids of a task's script and of its sub-agent."""
    path = str(task_directories(lab.stack, HOST)[task_id])
    run = wait_for(lambda: records.read_json(path, records.RUN))
    return run["pid"], run["sub_agent_pid"]


def use_pids_again(lab: Lab) -> list[subprocess.Popen[bytes]]:
    """Kill the host and give the pids of its one task to strangers; then start the agent."""
    ids = lab.submit(1, timeout=None)
    lab.wait_started(ids)
    pids = pids_of(lab, ids[0])
    kill_host(lab)
    bury(lab, pids)
    strangers = [stranger_with(pid) for pid in pids]
    lab.start_agent(HOST)
    # What is left of the task has to be ended: that is when a pid alone would be fatal.
    lab.cancel(ids)
    lab.settle()
    return strangers


def bury(lab: Lab, pids: tuple[int, ...]) -> None:
    """Collect all the dead: as the first process here nobody else does, and they keep their pids.

    A pid is in use, too, while it names a group or a session of somebody who still dies.
    """
    spared = {one.pid for one in (lab.stack.server, *lab.stack.agents.values()) if one}

    def are_gone() -> bool:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                if child.pid not in spared and child.status() == psutil.STATUS_ZOMBIE:
                    os.waitpid(child.pid, os.WNOHANG)
        return used_pids().isdisjoint(pids)

    wait_for(are_gone)


def used_pids() -> set[int]:
    """Return every number that a process, a group or a session has."""
    used = set()
    for pid in psutil.pids():
        with contextlib.suppress(ProcessLookupError):
            used.update((pid, os.getpgid(pid), os.getsid(pid)))
    return used


def main(directory: Path, count: int) -> dict[str, object]:
    """Make so many trials; a trial is one task with two strangers."""
    made = spared = 0
    with running_lab(directory, lines=LINES, pause=PAUSE_SECONDS, wide_each=0) as lab:
        for _ in range(count):
            strangers = use_pids_again(lab)
            made += len(strangers)
            for stranger in strangers:
                spared += stranger.poll() is None
                stranger.kill()
                stranger.wait()
            lab.made()
        found = lab.verdict()
    return {"violations": [list(one) for one in found], "strangers": made, "spared": spared}


if __name__ == "__main__":
    let_go_of_disks()
    prepared.home = Path(sys.argv[3])
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
