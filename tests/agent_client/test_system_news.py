"""The host's facts are sent again when something lasting changed, and only then."""

from __future__ import annotations

import asyncio
import copy

import pytest

from agent_client.protocol.messages import SystemNews
from agent_client.protocol.session import Session
from agent_client.system_info import collect_system_info
from agent_client.system_news import SystemReporter, lasting


class Host:
    """A host whose facts a test changes."""

    def __init__(self) -> None:
        self.facts = {
            "kernel": "6.1",
            "memory": {"total_bytes": 5, "available_bytes": 1},
            "mounts": [{"mount_point": "/", "used_bytes": 10, "usage": 10.4}],
            "load": [0, 0, 0],
            "uptime_seconds": 1,
        }
        self.flushes = asyncio.Event()
        self.session = Session(prefix="x")
        self.reporter = SystemReporter(
            None,
            session=self.session,
            link=self,
            collect=lambda _resources: copy.deepcopy(self.facts),
            refresh_seconds=0.01,
        )

    def flush(self) -> None:
        self.flushes.set()


@pytest.fixture
async def host() -> Host:
    found = Host()
    found.reporter.facts()
    return found


async def test_nothing_is_sent_when_only_moving_figures_moved(host):
    host.facts |= {"load": [9, 9, 9], "uptime_seconds": 99}
    host.facts["memory"]["available_bytes"] = 4
    host.facts["mounts"][0] |= {"used_bytes": 11, "usage": 10.6}
    assert await host.reporter.look() is False
    assert host.session.waiting == 0


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": "6.2"},
        {"memory": {"total_bytes": 9, "available_bytes": 1}},
        {"mounts": []},
        {"mounts": [{"mount_point": "/", "used_bytes": 99, "usage": 12.0}]},
    ],
)
async def test_all_facts_are_sent_once_when_one_changed(host, change):
    host.facts |= change
    assert await host.reporter.look() is True
    (message,) = host.session.take()
    assert isinstance(message, SystemNews)
    assert message.system == host.facts
    assert await host.reporter.look() is False


async def test_loop_sends_what_changed_between_two_connections(host):
    running = asyncio.ensure_future(host.reporter.run())
    host.facts["kernel"] = "6.2"
    async with asyncio.timeout(5):
        await host.flushes.wait()
    running.cancel()
    assert host.session.take()[0].system["kernel"] == "6.2"


def test_real_facts_last_from_one_moment_to_the_next():
    class Resources:
        def get_cpu_core_count(self) -> int:
            return 1

        def get_memory_total(self) -> int:
            return 1

    first, second = (lasting(collect_system_info(Resources())) for _ in range(2))
    assert first == second
