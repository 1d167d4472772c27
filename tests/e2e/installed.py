"""Hosts of a test that run the agent in the versioned layout, and releases to give them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from agents.distribution.releases import FOLDER, Release, publish
from agents.distribution.wheel import build_wheel
from tests.e2e.stack import ROOT, Stack, wait_for

INSTALL_SECONDS = 240
ONLINE_SECONDS = 60
"""What is promised of the one command, until the host is online."""


def home_of(stack: Stack, name: str) -> Path:
    """Return the home directory of a host of the test."""
    return stack.directory / f"home-{name}"


def install(
    stack: Stack, token: str = "", *, name: str = "fresh", script: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the shell installer in an empty home directory, as a user would."""
    home = home_of(stack, name)
    home.mkdir(exist_ok=True)
    script = script or stack.get("/agent/install.sh").text
    # Without systemd: a unit of a test must not outlive it on a developer's machine.
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AGENT_")},
        "HOME": str(home),
        "PYTHON": getattr(sys, "_base_executable", sys.executable),
        "DIALER_AGENT_NAME": name,
        "DIALER_AGENT_SERVICE": "none",
        "DIALER_ENROLL_TOKEN": token,
        **more,
    }
    return subprocess.run(
        ["sh"],
        input=script,
        env=environment,
        cwd=home,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
    )


def installed_host(stack: Stack, name: str, **more: str) -> str:
    """Return the id of a new online host whose agent the installer put there."""
    done = install(stack, stack.manage("enroll").split()[0], name=name, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return str(wait_for(lambda: stack.online_agent(name)))


def make_release(stack: Stack, version: str, *, first_line: str = "") -> Release:
    """Return a release of the same sources under another version, put on offer.

    first_line is what the program does before anything else when it is to run a host.
    """
    sources = stack.directory / f"sources-{version}" / "agent_client"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "agent_client", sources, ignore=ignored)
    entry = sources / "__init__.py"
    entry.write_text(re.sub(r'"[0-9.]+"$', f'"{version}"', entry.read_text(), flags=re.MULTILINE))
    if first_line:
        command = sources / "commands" / "main.py"
        text = command.read_text()
        start = "    guard = guard_of_this_process()\n"
        assert start in text
        command.write_text(text.replace(start, f"    {first_line}\n{start}"))
    return publish(build_wheel(sources), stack.data / FOLDER)


def host_of(stack: Stack, agent_id: str) -> dict[str, Any]:
    """Return one host as the API shows it."""
    return dict(stack.get(f"/api/v1/agents/{agent_id}/").json())


def upgrade(stack: Stack, agent_id: str, release: Release) -> dict[str, Any]:
    """Ask for a version by the API and return the host as it is then."""
    answer = stack.post(f"/api/v1/agents/{agent_id}/upgrade/", {"version": release.version})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())
