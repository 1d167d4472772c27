"""What a former installation left behind: bounded by age and bytes, never while it runs."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path

import pytest

from agent_client.sub_agent import records
from agent_client.sub_agent.records import FileSystem
from agent_client.tasks import orphans
from agent_client.tasks.identity import boot_id
from agent_client.tasks.orphans import Orphan, doomed, find_orphans, size_of
from agent_client.tasks.taskdir import ExitRecord, TaskDirectory, directory_name
from tests.agent_client.tasks.conftest import INSTALLATION, spec

DAY = 24 * 3600.0


def stored(
    root: Path,
    task_id: int,
    *,
    ended: bool = True,
    installation: str = "there",
    claimed_in: str | None = None,
) -> Path:
    """Store a task of a former server that is old enough to go; claimed_in names a boot."""
    wanted = spec(task_id, installation=installation)
    directory = TaskDirectory(root / directory_name(wanted), file_system=FileSystem())
    directory.path.parent.mkdir(parents=True, exist_ok=True)
    directory.store_spec(wanted)
    if ended:
        directory.store_exit(ExitRecord(reason="exit", finished_at=1.0))
    if claimed_in is not None:
        claim = {"pid": 1, "start_time": 1, "boot_id": claimed_in}
        (directory.path / records.CLAIM).write_text(json.dumps(claim))
    long_ago = time.time() - 31 * DAY
    for path in (*directory.path.iterdir(), directory.path):
        os.utime(path, (long_ago, long_ago))
    return directory.path


def orphan(days: float, size_bytes: int = 1) -> Orphan:
    """Return an orphan of an age."""
    return Orphan(Path(f"{days}"), size_bytes, days * DAY)


def test_ended_tasks_of_others_are_found(tmp_path):
    ended = stored(tmp_path, 1)
    stored(tmp_path, 2, ended=False, claimed_in=boot_id())
    stored(tmp_path, 3, installation=INSTALLATION)
    found = find_orphans(tmp_path, INSTALLATION, now=time.time())
    assert [one.path for one in found] == [ended]
    assert found[0].size_bytes == size_of(ended) > 0
    assert 30.9 * DAY < found[0].age_seconds < 31.1 * DAY


@pytest.mark.parametrize(
    ("claimed_in", "is_over"),
    [(None, True), ("another boot", True), (boot_id(), False), ("", False)],
    ids=["never began", "before a restart", "since the restart", "nobody knows"],
)
def test_task_without_an_end_is_over_only_when_nothing_of_it_can_run(tmp_path, claimed_in, is_over):
    path = stored(tmp_path, 1, ended=False, claimed_in=claimed_in)
    found = find_orphans(tmp_path, INSTALLATION, now=time.time())
    assert [one.path for one in found] == ([path] if is_over else [])


def test_host_without_an_installation_has_no_orphans(tmp_path):
    stored(tmp_path, 1)
    assert find_orphans(tmp_path, "", now=time.time()) == []


def test_age_alone_is_enough():
    old, young = orphan(31), orphan(29)
    assert doomed([old, young]) == [old]


def test_too_many_bytes_take_the_oldest_until_it_fits():
    third = orphans.MAX_BYTES // 3 + 1
    found = [orphan(5, third), orphan(4, third), orphan(3, third)]
    assert doomed(found) == found[:1]


def test_bytes_take_nothing_of_today():
    assert doomed([orphan(0.5, 2 * orphans.MAX_BYTES)]) == []


async def test_supervisor_removes_what_is_doomed_and_nothing_else(make_host, tmp_path):
    root = tmp_path / "state" / "tasks"
    gone, kept = stored(root, 1), stored(root, 2, ended=False, claimed_in=boot_id())
    await make_host()
    async with asyncio.timeout(10):
        while gone.exists():
            await asyncio.sleep(0.02)
    assert kept.exists()
