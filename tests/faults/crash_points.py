"""Strikes a process at its n-th step: each call that changes a disk or speaks is a step.

Installed in a test's own entry points only: the product does not know it. The process is
killed before the call took place, so that every state between two calls is met exactly
once (after a call is before the next one); or the call fails once with an error of the
operating system. Every strike is recorded, with whom it hit: no record, no trial.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

DISK_CALLS = (
    *("fsync", "fdatasync", "replace", "rename", "link", "unlink", "mkdir", "rmdir"),
    *("open", "write", "writev", "pwrite", "ftruncate", "truncate", "posix_fallocate"),
)
SPEAKING_CALLS = ("send", "sendall", "sendmsg", "sendto")
FORKING_CALLS = ("fork", "pidfd_open", "waitpid")
KILL, COUNT = "KILL", "COUNT"
"""COUNT strikes nobody and records every step: so many there are."""


class Order(NamedTuple):
    """At which step to strike (0: never), and how: KILL, COUNT or an error's name (EIO)."""

    at: int
    fault: str

    @classmethod
    def read(cls, text: str) -> Order:
        """Return the order in a line of a file; nothing is no order."""
        words = text.split()
        return cls(int(words[0]), words[1]) if len(words) >= 2 else cls(0, KILL)


class Strike(NamedTuple):
    """One strike that took place: the task directory of a sub-agent, else nothing."""

    pid: int
    step: int
    call: str
    fault: str
    subject: str

    @property
    def task_id(self) -> int:
        """Return the task whose sub-agent was struck."""
        return int(self.subject.rsplit("-", 2)[1])


def strikes(record: Path) -> list[Strike]:
    """Return what was struck so far."""
    lines = record.read_text().splitlines() if record.exists() else []
    words = [line.split(" ") for line in lines]
    return [Strike(int(w[0]), int(w[1]), w[2], w[3], w[4]) for w in words if len(w) == 5]


class CrashPoints:
    """Counts steps of this process and strikes at one of them."""

    def __init__(self, record: str, *, before_step: Callable[[], None] = lambda: None) -> None:
        """Note strikes in the file `record`; before_step is called before each step, to arm."""
        self.subject = ""
        self._record = record
        self._before_step = before_step
        self._order = Order(0, KILL)
        self._steps = 0
        self._is_inside = False
        self._open, self._write, self._close = os.open, os.write, os.close

    def install(self, *, disk: bool = True, network: bool = False, forks: bool = False) -> None:
        """Wrap the calls of this process."""
        if disk:
            self._wrap(os, DISK_CALLS)
            os.fdopen = self._stepping_file(os.fdopen)
        if network:
            self._wrap(socket.socket, SPEAKING_CALLS)
        if forks:
            self._wrap(os, FORKING_CALLS)

    def arm(self, order: Order, *, subject: str = "") -> None:
        """Count from the beginning, up to another step."""
        self._order, self._steps, self.subject = order, 0, subject

    def _wrap(self, owner: Any, names: Iterable[str]) -> None:
        for name in names:
            setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, call: Callable[..., Any]) -> Callable[..., Any]:
        name = call.__name__

        def step(*arguments: Any, **options: Any) -> Any:
            self._step(name)
            return call(*arguments, **options)

        return step

    def _stepping_file(self, fdopen: Callable[..., Any]) -> Callable[..., Any]:
        """Return an fdopen whose files have steps of their own when they are written."""
        points = self

        class File(io.BufferedWriter):
            def write(self, data: Any) -> int:
                points._step("file.write")
                return super().write(data)

        def opened(descriptor: int, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if mode == "wb":
                return File(io.FileIO(descriptor, mode))
            return fdopen(descriptor, mode, *arguments, **options)

        return opened

    def _step(self, call: str) -> None:
        """Count one step and strike if it is the one."""
        # What we do ourselves is no step.
        if self._is_inside:
            return
        self._is_inside = True
        try:
            self._before_step()
            at, fault = self._order
            if not at:
                return
            self._steps += 1
            if fault == COUNT:
                self._note(call)
            elif self._is_the_one(call):
                self._note(call)
                self._order = Order(0, KILL)
                self._strike(fault)
        finally:
            self._is_inside = False

    def _is_the_one(self, call: str) -> bool:
        """Return whether to strike here; a socket within this host knows no errors of disks."""
        at, fault = self._order
        if fault == KILL:
            return self._steps == at
        return self._steps >= at and call not in SPEAKING_CALLS

    def _strike(self, fault: str) -> None:
        if fault == KILL:
            os.kill(os.getpid(), signal.SIGKILL)
        number = getattr(errno, fault)
        raise OSError(number, os.strerror(number))

    def _note(self, call: str) -> None:
        """Append one line that survives this process."""
        descriptor = self._open(self._record, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fault = self._order.fault
        line = f"{os.getpid()} {self._steps} {call} {fault} {self.subject}\n"
        self._write(descriptor, line.encode())
        self._close(descriptor)
