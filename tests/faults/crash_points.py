"""Strikes a process at its n-th step: each call that changes a disk or speaks is a step.

Installed in a test's own entry points only: the product does not know it. The process is
killed, either before or after the step took place, so that both sides of every line are
met; or the call fails once with an error of the operating system.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

DISK_CALLS = (
    *("fsync", "replace", "rename", "link", "unlink", "mkdir", "rmdir"),
    *("open", "write", "writev", "ftruncate"),
)


KILL = "KILL"


class CrashPoints:
    """Counts steps of this process and strikes at one of them; 0 never strikes."""

    def __init__(
        self, at: int, *, fault: str = KILL, counts: Callable[[], bool] = lambda: True
    ) -> None:
        """Strike at step `at` with KILL or an error's name (EIO); counts may pause.

        Odd steps are killed before, even ones after the call.
        """
        self.at = at
        self._fault = fault
        self._counts = counts
        self._steps = 0
        self._is_inside = False

    def install(self, *, disk: bool = True, network: bool = False) -> None:
        """Wrap the calls of this process."""
        if disk:
            for name in DISK_CALLS:
                setattr(os, name, self._wrapped(getattr(os, name)))
        if network:
            socket.socket.send = self._wrapped(socket.socket.send)  # type: ignore[method-assign]

    def restart(self, at: int) -> None:
        """Count from the beginning: this is another process now."""
        self.at, self._steps = at, 0

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            # What we do to decide whether a step counts is no step itself.
            if self._is_inside or not self.at or not self._counts_now():
                return call(*arguments, **options)
            self._steps += 1
            if self._steps != self.at:
                return call(*arguments, **options)
            if self._fault != KILL:
                number = getattr(errno, self._fault)
                raise OSError(number, os.strerror(number))
            if self.at % 2 == 0:
                call(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError("unreachable")

        return step

    def _counts_now(self) -> bool:
        self._is_inside = True
        try:
            return self._counts()
        finally:
            self._is_inside = False
