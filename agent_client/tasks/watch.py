"""The descriptors the main agent holds for one running task.

A pidfd tells when the sub-agent ends, also of one that is not our child. Duplicates of
the output pipes' read ends keep the script alive should its sub-agent be killed, and give
access to what it had not read yet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from agent_client.tasks.taskdir import RunRecord


class Watch:
    """Watches one sub-agent on the loop; `pipes` maps a stream to our read end."""

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pipes: dict[int, int] = {}
        self._pidfd: int | None = pidfd

    def begin(self, on_end: Callable[[], None]) -> None:
        """Call on_end once, on the loop, when the sub-agent ends."""
        if self._pidfd is not None:
            asyncio.get_running_loop().add_reader(self._pidfd, self._ended, on_end)

    def duplicate_pipes(self, run: RunRecord) -> None:
        """Open the sub-agent's read ends for ourselves; it may already be gone."""
        if self.pipes:
            return
        for stream, number in run.outputs.items():
            path = f"/proc/{self.pid}/fd/{number}"
            with contextlib.suppress(OSError):
                # A file of our own over the same pipe, so that non-blocking stays our affair.
                self.pipes[stream] = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def end(self) -> None:
        """Close every descriptor."""
        self._close_pidfd()
        for descriptor in self.pipes.values():
            os.close(descriptor)
        self.pipes = {}

    def _ended(self, on_end: Callable[[], None]) -> None:
        self._close_pidfd()
        on_end()

    def _close_pidfd(self) -> None:
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None
