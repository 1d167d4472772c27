"""Who a process is: after a restart of the host nothing of it is left, and a pid is no name.

Everything is down while the boot id in the records is changed: to the agent that starts
then, the host has been restarted. Pids are used again in a namespace of their own.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent_client.sub_agent import records
from tests.e2e import prepared
from tests.faults import rows
from tests.faults.hosts import rewrite, task_directories
from tests.faults.lab import Lab, repeat, running_lab
from tests.faults.outages import HOST, kill_host
from tests.faults.trials import planned
from tests.services import missing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.IDENTITY),
    pytest.mark.xdist_group("faults"),
]

OTHER_BOOT = "00000000-0000-4000-8000-000000000000"
OWN_PIDS = ("unshare", "--pid", "--fork", "--mount-proc")
RUNNING = 4
LINES = 120
"""Four seconds: some still run when the host is killed, also on a slow machine."""


def test_tasks_of_a_restarted_host_end_as_such(tmp_path: Path) -> None:
    restarted: set[int] = set()
    with running_lab(tmp_path, lines=LINES) as lab:
        count = planned(short=2, long=20)
        found = repeat(lab, count, lambda: restarted.update(restart_host(lab)))
        assert found == []
        reasons = {lab.stack.task(task_id)["reason"] for task_id in restarted}
    assert reasons == {"host_reboot"}


def restart_host(lab: Lab) -> set[int]:
    """Kill a host with all that runs there and have it start under another boot id.

    Returns the tasks whose scripts ran and had no end.
    """
    lab.wait_running(RUNNING)
    kill_host(lab)
    ran = set()
    for task_id, path in task_directories(lab.stack, HOST).items():
        if (path / records.EXIT).exists():
            continue
        for name in (records.RUN, records.CLAIM):
            if (path / name).exists():
                rewrite(path / name, boot_id=OTHER_BOOT)
        if (path / records.RUN).exists():
            ran.add(task_id)
    assert ran
    lab.start_agent(HOST)
    return ran


def test_stranger_with_the_pid_of_a_task_is_spared(tmp_path: Path) -> None:
    """The pids of script and sub-agent belong to somebody else when the agent comes back."""
    check_tools()
    program = (sys.executable, "-m", "tests.faults.reused_pids")
    count = planned(short=1, long=20)
    command = [*OWN_PIDS, *program, str(tmp_path), str(count), str(prepared.home)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told == {"violations": [], "strangers": 2 * count, "spared": 2 * count}


def check_tools() -> None:
    """Skip, or fail in continuous integration, where the host allows no pids of one's own."""
    if shutil.which("unshare") is None:
        missing("unshare (package util-linux)", RuntimeError("not installed"))
    made = subprocess.run([*OWN_PIDS, "true"], capture_output=True, check=False)
    if made.returncode:
        missing("a namespace for pids (run as root)", RuntimeError(made.stderr.decode()))
