"""Deletes the directories of forgotten tasks, beside the loop and many at a time.

A directory is renamed at once, so that no restart finds the task again, and deleted a
moment later. One thread for all of them: every deletion is two dozen short calls, and
threads that make such calls take the interpreter from the loop between any two of them.
What is left when the agent ends, the next start deletes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

PREFIX = ".trash-"
GATHER_SECONDS = 0.5
"""How long directories gather before a thread deletes them together."""


class Trash:
    """The directories below `root` that nobody needs any more."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._waiting: list[Path] = []
        self._job: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Delete what an earlier process left behind."""
        self._add([path for path in self._root.iterdir() if path.name.startswith(PREFIX)])

    def throw(self, directory: Path) -> None:
        """Take a directory out of sight and delete it soon; one that is gone is ignored."""
        target = self._root / f"{PREFIX}{directory.name}-{time.time_ns()}"
        with contextlib.suppress(FileNotFoundError):
            directory.rename(target)
            self._add([target])

    async def close(self) -> None:
        """Delete no more; a deletion that has begun ends by itself."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.gather(self._job, return_exceptions=True)

    def _add(self, paths: Sequence[Path]) -> None:
        """Put directories behind the others and see that somebody deletes them."""
        self._waiting += paths
        if self._waiting and (self._job is None or self._job.done()):
            self._job = asyncio.create_task(self._empty())

    async def _empty(self) -> None:
        """Delete in rounds until nothing waits."""
        while self._waiting:
            await asyncio.sleep(GATHER_SECONDS)
            paths, self._waiting = self._waiting, []
            await asyncio.to_thread(_delete, paths)


def _delete(paths: Sequence[Path]) -> None:
    """Delete directories with all that is in them; what cannot be deleted stays."""
    for path in paths:
        shutil.rmtree(path, ignore_errors=True)
