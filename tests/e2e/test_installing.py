"""The one command of "Add an agent" on a host that has Python and nothing of this program."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agents.distribution.installer import shell_installer
from agents.distribution.releases import FOLDER, Release, publish
from agents.distribution.wheel import build_wheel
from tests.e2e.stack import ROOT, Stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("installing")]

TASKS = 20
# Writes before, during and after the change of versions; ends only when it is told to.
SCRIPT = """
for i in $(seq 1 100); do echo "line $i"; sleep 0.05; done
while [ ! -e {go} ]; do sleep 0.1; done
for i in $(seq 101 200); do echo "line $i"; done
"""


def install(
    stack: Stack, token: str = "", *, script: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the shell installer in an empty home directory, as a user would."""
    home = stack.directory / "home"
    home.mkdir(exist_ok=True)
    script = script or stack.get("/agent/install.sh").text
    # Without systemd: a unit of a test must not outlive it on a developer's machine.
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGENT_")},
        "HOME": str(home),
        "PYTHON": getattr(sys, "_base_executable", sys.executable),
        "DIALER_AGENT_NAME": "fresh",
        "DIALER_AGENT_SERVICE": "none",
        "DIALER_ENROLL_TOKEN": token,
        **more,
    }
    return subprocess.run(
        ["sh"], input=script, env=environment, cwd=home, capture_output=True, text=True, timeout=110
    )


def test_one_command_makes_an_online_agent_that_runs_tasks(own_stack: Stack) -> None:
    token = own_stack.manage("enroll").split()[0]
    address = f"dialer-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address)
        done = install(own_stack, token, NOTIFY_SOCKET="@" + address)
        systemd.settimeout(10)
        assert systemd.recv(100) == b"READY=1\nWATCHDOG=1"
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_stack.online_agent("fresh")
    task = own_stack.submit("echo from $HOME")
    assert own_stack.wait_final(task)["status"] == "completed"
    home: Path = own_stack.directory / "home/.dialer-agent"
    assert not (home / "enroll_token").exists()
    assert (home / "current").resolve().parent == home / "versions"


def next_version(stack: Stack) -> Release:
    """Return a release of the same sources under the next version, put on offer."""
    sources = stack.directory / "sources" / "agent_client"
    shutil.copytree(ROOT / "agent_client", sources)
    entry = sources / "__init__.py"
    entry.write_text(re.sub(r'"[0-9.]+"$', '"99.0.1"', entry.read_text(), flags=re.MULTILINE))
    return publish(build_wheel(sources), stack.data / FOLDER)


def test_tasks_go_on_while_the_next_version_is_installed(own_stack: Stack) -> None:
    slots = {"AGENT_TASK_MAX_CONCURRENT_TASKS": str(TASKS)}
    first = install(own_stack, own_stack.manage("enroll").split()[0], **slots)
    assert first.returncode == 0, first.stdout + first.stderr
    go = own_stack.directory / "go"
    ids = [own_stack.submit(SCRIPT.format(go=go)) for _ in range(TASKS)]
    for task_id in ids:
        own_stack.wait_status(task_id, "running")
    script = shell_installer(own_stack.url, next_version(own_stack))
    second = install(own_stack, script=script, **slots)
    assert second.returncode == 0, second.stdout + second.stderr
    folder = (own_stack.directory / "home/.dialer-agent/current").resolve()
    assert folder.name.startswith("99.0.1-")
    assert {own_stack.task(task_id)["status"] for task_id in ids} == {"running"}
    go.touch()
    expected = "".join(f"line {n}\n" for n in range(1, 201)).encode()
    for task_id in ids:
        assert own_stack.wait_final(task_id)["status"] == "completed"
        assert own_stack.log(task_id) == expected
