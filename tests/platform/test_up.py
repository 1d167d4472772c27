"""`manage.py up` as a person runs it: one command, one address, one Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.rules.source_tree import ROOT

pytestmark = pytest.mark.e2e

READY = re.compile(r"ready at (http://127\.0\.0\.1:\d+/)")


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


class Up:
    """A running `manage.py up`, seen through what it prints."""

    def __init__(self, data: Path, *args: str, **environment: str) -> None:
        """Start it on a free port."""
        settings = {"DIALER_DATA_DIR": str(data), "DIALER_PORT": str(free_port())}
        self.process = subprocess.Popen(
            [sys.executable, "-u", "manage.py", "up", *args],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if not k.startswith(("DIALER_", "AGENT_"))}
            | settings
            | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed: list[str] = []
        self.url = ""

    def wait_until_ready(self) -> None:
        """Read until the address is printed."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line)
            if match := READY.search(line):
                self.url = match[1]
                return
        raise AssertionError("".join(self.printed))

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send the signal and return the exit code."""
        self.process.send_signal(number)
        self.printed.append(self.process.communicate(timeout=40)[0])
        return self.process.returncode


@pytest.fixture
def started(tmp_path) -> Iterator[list[Up]]:
    """Collect what was started and end whatever a failed test left."""
    found: list[Up] = []
    yield found
    for up in found:
        if up.process.poll() is None:
            up.process.kill()
            up.process.communicate()


@pytest.fixture
def up(started, tmp_path):
    """Return a function that starts `up` in the test's data directory."""

    def start(*args: str, **environment: str) -> Up:
        started.append(Up(tmp_path / "data", *args, **environment))
        return started[-1]

    return start


def test_first_start_prints_a_password_once_and_serves(up, tmp_path):
    first = up("--no-agent")
    first.wait_until_ready()
    match = re.search(r"user admin, password (\S+)", "".join(first.printed))
    assert match
    assert len(match[1]) >= 20
    assert requests.get(f"{first.url}accounts/login/", timeout=10).status_code == 200
    assert first.stop() == 0
    second = up("--no-agent")
    second.wait_until_ready()
    assert "password" not in "".join(second.printed)
    assert second.stop(signal.SIGTERM) == 0


def test_preset_password_is_used_and_not_printed(up, tmp_path):
    first = up("--no-agent", DIALER_ADMIN_PASSWORD="correct horse battery")
    first.wait_until_ready()
    assert "horse" not in "".join(first.printed)
    session = requests.Session()
    session.get(f"{first.url}accounts/login/", timeout=10)
    answer = session.post(
        f"{first.url}accounts/login/",
        {
            "username": "admin",
            "password": "correct horse battery",
            "csrfmiddlewaretoken": session.cookies["dialer_csrf"],
        },
        timeout=10,
        allow_redirects=False,
    )
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")
    assert first.stop() == 0


def test_second_server_on_the_same_data_is_refused(up):
    first = up("--no-agent")
    first.wait_until_ready()
    second = up("--no-agent")
    assert "is in use by process" in second.process.communicate(timeout=40)[0]
    assert second.process.returncode == 1
    first.stop()


def test_taken_port_is_refused_before_anything_is_created(up, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = up(DIALER_PORT=str(taken.getsockname()[1]))
        assert "is in use by another program" in refused.process.communicate(timeout=40)[0]
    assert not (tmp_path / "data" / "database" / "dialer.sqlite3").exists()


def test_public_address_without_tls_is_refused(up):
    refused = up(DIALER_HOST="0.0.0.0")
    assert "without TLS" in refused.process.communicate(timeout=40)[0]


def test_data_is_private_and_no_secret_is_stored_readable(up, tmp_path):
    os.umask(old := os.umask(0))
    server = up("--no-agent", DIALER_ADMIN_PASSWORD="correct horse battery")
    server.wait_until_ready()
    server.stop()
    os.umask(old)
    data = tmp_path / "data"
    assert data.stat().st_mode & 0o077 == 0
    with sqlite3.connect(data / "database" / "dialer.sqlite3") as database:
        assert "horse" not in "".join(database.iterdump())


def test_local_agent_comes_online_and_leaves_with_the_server(up, tmp_path):
    server = up(DIALER_ADMIN_PASSWORD="correct horse battery")
    server.wait_until_ready()
    environment = os.environ | {"DIALER_DATA_DIR": str(tmp_path / "data")}
    token = subprocess.check_output(
        [sys.executable, "manage.py", "token", "admin"], cwd=ROOT, env=environment, text=True
    ).split()[-1]
    headers = {"Authorization": f"Bearer {token}"}
    agents = wait_for_agent(f"{server.url}api/v1/agents/", headers)
    assert [row["name"] for row in agents] == [socket.gethostname()]
    assert server.stop() == 0
    assert not (tmp_path / "data" / "agent" / "enrol_token").exists()


def wait_for_agent(url: str, headers: dict[str, str]) -> list[dict[str, object]]:
    """Ask until one agent is online; the test's own time limit ends the waiting."""
    import time

    while True:
        rows = requests.get(url, headers=headers, timeout=10).json()["results"]
        if [row for row in rows if row["status"] == "online"]:
            return rows
        time.sleep(0.2)
