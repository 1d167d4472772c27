"""The one command of "Add an agent" on a host that has Python and nothing of this program."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import pytest

from agents.distribution.installer import shell_installer
from tests.e2e.installed import ONLINE_SECONDS, home_of, install, make_release
from tests.e2e.stack import Stack

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("installing")]

TASKS = 20
# Writes before, during and after the change of versions; ends only when it is told to.
SCRIPT = """
for i in $(seq 1 100); do echo "line $i"; sleep 0.05; done
while [ ! -e {go} ]; do sleep 0.1; done
for i in $(seq 101 200); do echo "line $i"; done
"""


def test_one_command_makes_an_online_agent_that_runs_tasks(own_stack: Stack) -> None:
    token = own_stack.manage("enroll").split()[0]
    address = f"dialer-test-{os.getpid()}"
    # A Python as Debian's package python3 brings it: it has venv and neither pip nor ensurepip.
    bare = own_stack.directory / "bare-python"
    bare.mkdir()
    for name in ("ensurepip.py", "pip.py"):
        (bare / name).write_text("raise ImportError(__name__)\n")
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind("\0" + address)
        done = install(own_stack, token, NOTIFY_SOCKET="@" + address, PYTHONPATH=str(bare))
        seconds = time.monotonic() - began
        systemd.settimeout(10)
        assert systemd.recv(100) == b"READY=1\nWATCHDOG=1"
    assert done.returncode == 0, done.stdout + done.stderr
    assert own_stack.online_agent("fresh")
    assert seconds <= ONLINE_SECONDS
    task = own_stack.submit("echo from $HOME")
    assert own_stack.wait_final(task)["status"] == "completed"
    home: Path = home_of(own_stack, "fresh") / ".dialer-agent"
    assert not (home / "enroll_token").exists()
    assert (home / "current").resolve().parent == home / "versions"
    assert not list(home.glob("versions/*/lib/*/site-packages/pip"))


def test_tasks_go_on_while_the_next_version_is_installed(own_stack: Stack) -> None:
    slots = {"AGENT_TASK_MAX_CONCURRENT_TASKS": str(TASKS)}
    first = install(own_stack, own_stack.manage("enroll").split()[0], **slots)
    assert first.returncode == 0, first.stdout + first.stderr
    go = own_stack.directory / "go"
    ids = [own_stack.submit(SCRIPT.format(go=go)) for _ in range(TASKS)]
    for task_id in ids:
        own_stack.wait_status(task_id, "running")
    script = shell_installer(own_stack.url, make_release(own_stack, "99.0.1"))
    second = install(own_stack, script=script, **slots)
    assert second.returncode == 0, second.stdout + second.stderr
    folder = (home_of(own_stack, "fresh") / ".dialer-agent/current").resolve()
    assert folder.name.startswith("99.0.1-")
    assert {own_stack.task(task_id)["status"] for task_id in ids} == {"running"}
    go.touch()
    expected = "".join(f"line {n}\n" for n in range(1, 201)).encode()
    for task_id in ids:
        assert own_stack.wait_final(task_id)["status"] == "completed"
        assert own_stack.log(task_id) == expected
