"""One task's directory: its layout, its records, and who may write which.

    <state>/tasks/<installation>-<task id>-<offer>/
        spec.json  go  bandwidth               written by the main agent
        claim  run.json  stop.json  exit.json  output  script  work/  written by the sub-agent

The main agent writes exit.json and the end of output only for a sub-agent that is gone.
Reading is tolerant: an absent or torn record is None. Writing raises OSError.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from agent_client.protocol.messages import TaskSpec
from agent_client.sub_agent import records
from agent_client.sub_agent.identity import ProcessIdentity
from agent_client.sub_agent.records import FileSystem

Record = TypeVar("Record")
TaskKey = tuple[int, int]
"""Task id and offer number."""

_INSTALLATION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")
_NAME = re.compile(rf"({_INSTALLATION.pattern})-(\d{{1,19}})-(\d{{1,19}})")


class ExitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a task as exit.json holds it; exit_code is None when a signal ended it."""

    reason: str
    finished_at: float
    exit_code: int | None = None
    signal: int | None = None
    started_at: float | None = None
    duration_seconds: float = 0.0
    log_bytes: int = 0
    log_truncated_bytes: int = 0
    detail: str = ""


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The script as run.json holds it; outputs maps a stream to the sub-agent's read end."""

    pid: int
    start_time: int
    boot_id: str
    started_at: float
    sub_agent_pid: int = 0
    outputs: dict[int, int] = {}
    groups: tuple[str, ...] = ()
    """Directories of the task's control group; () where the host has none for it."""

    @property
    def identity(self) -> ProcessIdentity:
        """Return who the script's process is."""
        return ProcessIdentity(self.pid, self.start_time, self.boot_id)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Who took the task: a sub-agent, or an adopter that abandoned it."""

    pid: int = 0
    start_time: int = 0
    boot_id: str = ""
    abandoned: bool = False


class TaskDirectory:
    """The records of one task; every durable write goes through the file system given."""

    def __init__(self, path: Path, *, file_system: FileSystem) -> None:
        self.path = path
        self._file_system = file_system
        self._root = os.fspath(path)

    @property
    def name(self) -> str:
        """Return the directory's name, which is the task's key on this host."""
        return self.path.name

    @property
    def output(self) -> Path:
        """Return the framed log file."""
        return self.path / records.OUTPUT

    @property
    def unkillable(self) -> bool:
        """Return whether the task's processes have survived KILL for a minute."""
        return (self.path / records.UNKILLABLE).exists()

    # --- records of the main agent ----------------------------------------------

    def store_spec(self, spec: TaskSpec) -> None:
        """Make the directory and the spec durable; from here on the offer is accepted."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        records.write_record(self._file_system, self._root, records.SPEC, msgspec.json.encode(spec))
        self._file_system.sync_directory(os.fspath(self.path.parent))

    def store_order(
        self,
        *,
        environment: Mapping[str, str],
        cpu_ids: Sequence[int],
        gpu_ids: Sequence[str],
        files: Mapping[str, object] | None = None,
    ) -> None:
        """Mark the task as ordered to start, with what was booked for it.

        Not synced by itself: the sub-agent syncs the directory with run.json, before the
        script's first instruction.
        """
        order: dict[str, object] = {
            "environment": environment,
            "cpu_ids": cpu_ids,
            "gpu_ids": gpu_ids,
        }
        if files is not None:
            order["files"] = files
        records.write_record(
            self._file_system,
            self._root,
            records.ORDER,
            msgspec.json.encode(order),
            durable=False,
        )

    def store_exit(self, exit_record: ExitRecord) -> None:
        """Write the end of a task whose sub-agent cannot do it any more."""
        data = msgspec.json.encode(exit_record)
        records.write_record(self._file_system, self._root, records.EXIT, data)

    def store_bandwidth(self, megabytes: float) -> None:
        """Set the limit that a transfer has of its own, in MB/s; it looks at it each second."""
        records.write_bandwidth(self._root, megabytes)

    def abandon(self) -> bool:
        """Claim the task for nobody, so that a late sub-agent stops at once.

        Returns False when a sub-agent was faster.
        """
        descriptor = records.take_claim(self._root, records.ABANDONED)
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def request_stop(self, *, reason: str, grace_seconds: float) -> bool:
        """Ask the sub-agent to stop the task; False when it does not listen (any more)."""
        request = msgspec.json.encode({"stop": reason, "grace_seconds": grace_seconds})
        with (
            contextlib.suppress(OSError),
            _opened(self.path) as descriptor,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel,
        ):
            channel.setblocking(False)
            # Through the descriptor, because a socket's path may have 108 bytes only.
            channel.sendto(request, f"/proc/self/fd/{descriptor}/{records.CONTROL}")
            return True
        return False

    # --- reading ------------------------------------------------------------------

    def spec(self) -> TaskSpec | None:
        """Return what is to be run, None when it was never accepted."""
        return self._read(records.SPEC, TaskSpec)

    def run(self) -> RunRecord | None:
        """Return who the script is, None before its start."""
        return self._read(records.RUN, RunRecord)

    def exit(self) -> ExitRecord | None:
        """Return how the task ended, None while it has not."""
        return self._read(records.EXIT, ExitRecord)

    def claim(self) -> Claim | None:
        """Return who took the task, None when nobody did; a torn claim is nobody's pid 0."""
        if not (self.path / records.CLAIM).exists():
            return None
        return self._read(records.CLAIM, Claim) or Claim()

    def claim_is_held(self) -> bool:
        """Return whether the task's sub-agent is alive."""
        return records.claim_is_held(self._root)

    def bandwidth_mb(self) -> float | None:
        """Return the limit that was set for a transfer, None before its start."""
        return records.read_bandwidth(self._root)

    def has_order(self) -> bool:
        """Return whether a start was ever attempted."""
        return (self.path / records.ORDER).exists()

    def crash(self) -> str:
        """Return what a broken sub-agent left as its last words, else an empty string."""
        data = records.read_bytes(self._root, records.CRASH) or b""
        return data[:2000].decode("utf-8", "replace")

    def _read(self, name: str, kind: type[Record]) -> Record | None:
        data = records.read_bytes(self._root, name)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=kind)
        except msgspec.MsgspecError:
            return None


def directory_name(spec: TaskSpec) -> str:
    """Return the name of the task's directory; raises ValueError for an unsafe installation."""
    if not _INSTALLATION.fullmatch(spec.installation):
        raise ValueError(f"installation {spec.installation!r} cannot be part of a file name")
    return f"{spec.installation}-{spec.task_id}-{spec.offer}"


def parse_name(name: str) -> tuple[str, TaskKey] | None:
    """Return installation and key of a task directory's name, None for another name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    return match[1], (int(match[2]), int(match[3]))


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Hold a descriptor of a directory."""
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
