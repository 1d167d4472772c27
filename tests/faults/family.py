"""Every process that a lab has started, however far it has gone from its parents.

While a lab lives this process is a child subreaper, as a host's first process is: what a
killed agent leaves behind becomes our own child, so nothing can leak unseen.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterable

import psutil

NEIGHBOURS = frozenset({"postgres", "redis-server", "strace"})
"""What tests start beside a lab and end themselves."""
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)
_families = 0


class Family:
    """What has been started since it began; begin and end around one lab."""

    def __init__(self) -> None:
        """Begin: who is there already is no business of ours."""
        global _families
        _families += 1
        _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        self._before = {_key(one) for one in _descendants()}

    def end(self) -> None:
        """Adopt no orphans any more."""
        global _families
        _families -= 1
        if not _families:
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

    def living(self) -> list[psutil.Process]:
        """Return the processes that live, dead ones left out."""
        found = []
        for process in _descendants():
            with contextlib.suppress(psutil.NoSuchProcess):
                is_ours = _key(process) not in self._before and process.name() not in NEIGHBOURS
                if is_ours and not _is_dead(process):
                    found.append(process)
        return found

    def bury(self, *, spare: Iterable[int] = ()) -> None:
        """Collect dead orphans, each by its pid, but for those that somebody waits for."""
        spared = set(spare)
        for process in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess, ChildProcessError):
                is_ours = _key(process) not in self._before and process.pid not in spared
                if is_ours and _is_dead(process):
                    os.waitpid(process.pid, os.WNOHANG)


def described(processes: Iterable[psutil.Process]) -> list[str]:
    """Return pid and command of processes, for a person."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found.append(f"{process.pid} {' '.join(process.cmdline())[:200]}")
    return found


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _key(process: psutil.Process) -> tuple[int, float]:
    return process.pid, process.create_time()


def _is_dead(process: psutil.Process) -> bool:
    return process.status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
