"""The one command of "Add an agent" on a host that has Python and nothing of this program."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("installing")]


def install(stack: Stack, token: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the shell installer in an empty home directory, as a user would."""
    home = stack.directory / "home"
    home.mkdir(exist_ok=True)
    script = stack.get("/agent/install.sh").text
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
