"""A transfer's own limit on its host: set by orders, said in what is held, kept by the disk."""

from __future__ import annotations

import logging
from pathlib import Path

import msgspec
import pytest

from agent_client.protocol.messages import BandwidthOrder, Heartbeat
from agent_client.protocol.transfers import Transfer
from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.supervisor import LocalTask
from agent_client.tasks.taskdir import TaskDirectory
from tests.agent_client.fake_server import spec
from tests.agent_client.test_runs import KEY, World

TRANSFER = Transfer(id="0123456789abcdef", token="t", path="/x", bandwidth_mb=10.0)


def holding(world: World, path: Path, *, state: str = "running", **changes: object) -> LocalTask:
    """Let the host hold one task whose directory is there."""
    offered = spec(**{"kind": "file_upload", "transfer": TRANSFER, **changes})
    directory = TaskDirectory(path, file_system=FileSystem())
    task = LocalTask(KEY, offered, directory, state=state)
    world.supervisor.held[KEY] = task
    return task


def order(megabytes: float) -> tuple[BandwidthOrder, ...]:
    return (BandwidthOrder(task_id=KEY[0], offer=KEY[1], bandwidth_mb=megabytes),)


def held(world: World) -> list[float | None]:
    return [hold.bandwidth_mb for hold in world.runs.holds()]


def test_limit_is_the_offers_until_an_order_changes_it(tmp_path: Path) -> None:
    world = World()
    task = holding(world, tmp_path)
    assert held(world) == [10.0]
    world.runs.limit_bandwidths(order(2.5))
    assert (held(world), task.directory.bandwidth_mb()) == ([2.5], 2.5)


def test_limit_is_found_again_after_a_restart(tmp_path: Path) -> None:
    world = World()
    holding(world, tmp_path)
    world.runs.limit_bandwidths(order(2.5))
    again = World()
    holding(again, tmp_path)
    assert held(again) == [2.5]


def test_order_for_what_is_not_here_or_no_transfer_changes_nothing(tmp_path: Path) -> None:
    world = World()
    world.runs.limit_bandwidths(order(1))
    holding(world, tmp_path, kind="script", transfer=None)
    world.runs.limit_bandwidths(order(1))
    assert (held(world), list(tmp_path.iterdir())) == ([None], [])


def test_ended_transfer_has_no_limit(tmp_path: Path) -> None:
    world = World()
    holding(world, tmp_path, state="finished")
    world.runs.limit_bandwidths(order(1))
    assert (held(world), list(tmp_path.iterdir())) == ([None], [])


def test_limit_that_the_disk_does_not_take_is_said_as_it_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    holding(world, tmp_path / "gone")
    with caplog.at_level(logging.WARNING):
        world.runs.limit_bandwidths(order(1))
    assert held(world) == [10.0]  # so the server orders it again
    assert "could not be kept" in caplog.text


def test_server_that_knows_no_limits_understands_the_beat(tmp_path: Path) -> None:
    world = World()
    holding(world, tmp_path, kind="script", transfer=None)
    beat = Heartbeat(agent_id="a", holds=world.runs.holds())
    assert b"bandwidth" not in msgspec.json.encode(beat)
