"""The loop that keeps the agent's limits in step with the load."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

import pytest

from agent_client.adaptive import Limits
from agent_client.config import ResourceAdaptiveConfig
from agent_client.protocol.messages import Resources
from agent_client.throttle import LIMITS_FILE, Throttle

BUSY = Resources(cpu_usage=99, load_1m=9)


class Host:
    """A host whose load and clock the test sets."""

    def __init__(self, state_dir: Path, **settings: float) -> None:
        self.resources: Resources | None = BUSY
        self.now = 0.0
        self.changes: list[Limits] = []
        self.throttle = Throttle(
            ResourceAdaptiveConfig(enabled=True, sample_interval_sec=0.01, **settings),
            slots=10,
            bandwidth_mb=20,
            cpu_cores=4,
            state_dir=state_dir,
            sample=lambda: self.resources,
            on_change=self.changes.append,
            clock=lambda: self.now,
        )


@pytest.fixture
def host(tmp_path):
    return Host(tmp_path)


def test_limits_are_whole_before_any_sample(host):
    assert host.throttle.limits == Limits(10, 20, 1)


def test_busy_host_lowers_slots_and_bandwidth_and_says_so(host, caplog):
    caplog.set_level(logging.INFO)
    host.throttle.observe()
    assert host.changes == [Limits(9, 18, 0.9, cause="both")]
    assert caplog.records[-1].msg.key == "limits_adapted"


def test_transfers_read_the_limits_of_the_moment(host, tmp_path):
    host.throttle.observe()
    assert json.loads((tmp_path / LIMITS_FILE).read_bytes())["bandwidth_mb"] == 18


def test_host_without_a_sample_changes_nothing(host):
    host.resources = None
    host.throttle.observe()
    assert host.changes == []


def test_directory_that_cannot_be_written_does_not_stop_it(tmp_path, caplog):
    host = Host(tmp_path / "missing")
    host.throttle.observe()
    assert host.changes
    assert LIMITS_FILE in caplog.text


async def test_loop_writes_the_limits_at_once_and_follows_the_load(host, tmp_path):
    running = asyncio.ensure_future(host.throttle.run())
    async with asyncio.timeout(5):
        while not host.changes:
            await asyncio.sleep(0.005)
    running.cancel()
    assert json.loads((tmp_path / LIMITS_FILE).read_bytes())["slots"] == 9
