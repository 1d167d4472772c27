"""strace attached to an agent that is online: its n-th system call of a kind fails for real.

With -f, so that threads and whatever is forked later are met; each of them counts its own
calls. What was not injected, by strace's own word, did not happen.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.e2e.stack import wait_for

DETACH_SECONDS = 10
KILL = "signal=KILL"
FAULTS = ("error=EIO", "error=ENOSPC", "error=EINTR", KILL)
AGENT_CALLS = (
    *("write", "openat", "fsync", "fdatasync", "rename", "mkdir"),
    *("unlink,unlinkat,rmdir", "ftruncate", "pwrite64", "sendto"),
)
SUB_AGENT_CALLS = ("fsync", "rename", "link,linkat", "ftruncate", "fallocate", "writev")
"""Those that scripts do not make: a script that fails by itself would prove nothing."""
_INJECTED = re.compile(r"^(\d+) +.*\(INJECTED\)", re.MULTILINE)
_KILLED = re.compile(r"^(\d+) +\+\+\+ killed by SIGKILL", re.MULTILINE)


class Injection(NamedTuple):
    """Which call of whom fails how: `fsync`, `error=EIO`, the third one."""

    is_of_sub_agents: bool
    calls: str
    fault: str
    when: int

    @property
    def expression(self) -> str:
        """Return it as strace takes it; a socket fails as sockets do."""
        fault = self.fault
        if self.calls == "sendto" and fault != KILL:
            fault = "error=ECONNRESET"
        return f"inject={self.calls}:{fault}:when={self.when}"


class Trace:
    """What strace has told: to be asked once it has ended.

    A parent learns of a death before strace has written of it. A short pid is padded.
    """

    def __init__(self, file: Path) -> None:
        """Read the file that strace writes."""
        self._file = file

    def hit(self) -> set[int]:
        """Return the threads and processes that were hit."""
        text = self._file.read_text(errors="replace")
        return {int(pid) for pid in (*_INJECTED.findall(text), *_KILLED.findall(text))}


@contextmanager
def traced(pids: Sequence[int], injection: Injection, directory: Path) -> Iterator[Trace]:
    """Trace processes with all their threads; detaches at the end."""
    file, errors = directory / "strace.out", directory / "strace.err"
    command = ["strace", "-f", "-o", str(file), "-e", f"trace={injection.calls}"]
    for pid in pids:
        command += ["-p", str(pid)]
    with errors.open("wb") as stream:
        process = subprocess.Popen([*command, "-e", injection.expression], stderr=stream)
    try:
        wait_for(lambda: _is_attached(process, pids, errors))
        yield Trace(file)
    finally:
        process.terminate()
        try:
            process.wait(DETACH_SECONDS)
        except subprocess.TimeoutExpired:
            # It may wait for a thread that waits for a child which it holds itself.
            process.kill()
            process.wait()


def _is_attached(process: subprocess.Popen[bytes], pids: Sequence[int], errors: Path) -> bool:
    """Return whether every thread is traced; fails when strace has ended before."""
    text = errors.read_text(errors="replace")
    assert process.poll() is None, text
    return all(f"Process {pid} attached" in text for pid in pids) and all(
        _is_traced_by(process.pid, pid, thread) for pid in pids for thread in threads_of(pid)
    )


def threads_of(pid: int) -> list[str]:
    """Return the threads of a process."""
    return [one.name for one in Path(f"/proc/{pid}/task").iterdir()]


def _is_traced_by(tracer: int, pid: int, thread: str) -> bool:
    """Return whether a thread is traced, or has ended meanwhile."""
    try:
        status = Path(f"/proc/{pid}/task/{thread}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return re.search(rf"^TracerPid:\s+{tracer}$", status, re.MULTILINE) is not None
