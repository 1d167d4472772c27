"""What the agent says to systemd, on a socket of the test's own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_client.health.service_manager import DEFAULT_EACH_SECONDS, ServiceManager


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def manager_for(listener: socket.socket, **environ: str) -> ServiceManager:
    return ServiceManager({"NOTIFY_SOCKET": listener.getsockname(), **environ})


async def test_signs_of_life_follow_the_start(heard):
    job = asyncio.ensure_future(manager_for(heard, WATCHDOG_USEC="30000").run())
    words = [await asyncio.to_thread(heard.recv, 100) for _ in range(3)]
    job.cancel()
    assert words == [b"READY=1\nWATCHDOG=1", b"WATCHDOG=1", b"WATCHDOG=1"]


def test_leaving_is_said(heard):
    manager_for(heard).leaving()
    assert heard.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize(("limit", "seconds"), [("60000000", 20.0), ("3000000", 1.0)])
def test_signs_come_three_times_within_the_limit(limit, seconds):
    assert ServiceManager({"WATCHDOG_USEC": limit}).each_seconds == seconds


@pytest.mark.parametrize("limit", ["", "0", "-5", "soon", "²"])
def test_unusable_limit_means_the_usual_pace(limit):
    assert ServiceManager({"WATCHDOG_USEC": limit}).each_seconds == DEFAULT_EACH_SECONDS


async def test_nothing_is_said_without_a_manager():
    await ServiceManager({}).run()


def test_absent_manager_is_no_reason_to_end(tmp_path: Path, caplog):
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "none")}).leaving()
    assert "cannot be told" in caplog.text


def test_abstract_address_is_understood():
    name = f"\0dialer-test-{id(object())}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name)
        ServiceManager({"NOTIFY_SOCKET": "@" + name[1:]}).leaving()
        assert listener.recv(100) == b"STOPPING=1"
