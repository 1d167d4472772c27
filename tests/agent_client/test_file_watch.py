"""A growing file is noticed, by the kernel's notice or by its size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from agent_client import file_watch
from agent_client.file_watch import FileWatch, Inotify


class Notice:
    """Counts calls and lets a test wait for one."""

    def __init__(self) -> None:
        self.count = 0
        self._called = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._called.set()

    async def wait(self) -> None:
        async with asyncio.timeout(5):
            await self._called.wait()
        self._called.clear()


@pytest.fixture(params=["inotify", "sizes"])
async def watch(request) -> AsyncIterator[FileWatch]:
    found = FileWatch(asyncio.get_running_loop(), use_inotify=request.param == "inotify")
    yield found
    found.close()


def append(path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


async def test_growth_is_noticed_when_a_file_is_written(watch, tmp_path):
    path, notice = tmp_path / "file", Notice()
    append(path)
    watch.add(path, notice)
    for _ in range(3):
        append(path)
        await notice.wait()


async def test_each_file_has_its_own_callback_when_several_are_watched(watch, tmp_path):
    notices = {name: Notice() for name in "ab"}
    for name, notice in notices.items():
        append(tmp_path / name)
        watch.add(tmp_path / name, notice)
    await asyncio.sleep(0.05)
    before = notices["b"].count
    append(tmp_path / "a")
    await notices["a"].wait()
    assert notices["b"].count == before


async def test_nothing_is_noticed_when_the_watch_was_removed(watch, tmp_path):
    path, notice = tmp_path / "file", Notice()
    append(path)
    watch.add(path, notice)
    watch.add(path, notice)
    watch.remove(path)
    watch.remove(path)
    append(path)
    await asyncio.sleep(0.05)
    assert notice.count == 0


async def test_sizes_are_looked_at_when_a_watch_is_refused(monkeypatch, tmp_path):
    def refuse(*_: object) -> int:
        raise OSError(28, "no watches left")

    monkeypatch.setattr(Inotify, "add", refuse)
    watch, notice = FileWatch(asyncio.get_running_loop()), Notice()
    append(tmp_path / "file")
    watch.add(tmp_path / "file", notice)
    await notice.wait()
    watch.close()


async def test_sizes_are_looked_at_when_there_is_no_inotify(monkeypatch, tmp_path):
    def absent(*_: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(file_watch, "Inotify", absent)
    watch, notice = FileWatch(asyncio.get_running_loop()), Notice()
    append(tmp_path / "file")
    watch.add(tmp_path / "file", notice)
    await notice.wait()
    watch.close()


async def test_looks_become_rare_when_nothing_happens(tmp_path):
    look = file_watch._Look(asyncio.get_running_loop(), tmp_path / "file", lambda: None)
    look.cancel()
    for _ in range(20):
        look._look()
        look.cancel()
    assert look._pause_seconds == file_watch.LAST_LOOK_SECONDS
