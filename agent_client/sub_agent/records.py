"""Small files that must survive a crash: written whole or not at all, and the claim's lock.

Promises that a reader sees either the old record or the new one. Readers never raise for
an absent or torn file: they return None, and the caller decides what a missing record
means. Every call to the file system goes through a FileSystem, so that tests can fail it.
"""

from __future__ import annotations

import fcntl
import json
import os
from typing import Any

BANDWIDTH = "bandwidth"
CLAIM = "claim"
CRASH = "crash"
EXIT = "exit.json"
ORDER = "go"
OUTPUT = "output"
RUN = "run.json"
SCRIPT = "script"
SPEC = "spec.json"
STOP = "stop.json"
CONTROL = "ctl"
UNKILLABLE = "unkillable"
WORK = "work"
ABANDONED = b'{"abandoned": true}'

_BANDWIDTH_BYTES = 64
_RESERVED_BYTES = 4096
"""More than an end record takes."""
_MAX_PSEUDO_FILE_BYTES = 16 * 1024
_MAX_RECORD_BYTES = 16 * 1024 * 1024
"""A spec holds a script of up to 1 MiB, which JSON may escape to six times its size."""


class FileSystem:
    """The few calls that can fail; replaced in tests by one that fails on purpose."""

    def write(self, path: str, data: bytes, *, mode: int = 0o600, sync: bool = True) -> None:
        """Create or replace a file's content, synced to the disk unless told otherwise."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, mode)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            # Cut at the end and not at the start: what was reserved stays ours on a full disk.
            os.ftruncate(descriptor, len(data))
            if sync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        """Give a file its final name, replacing what was there."""
        os.replace(source, target)

    def sync_directory(self, path: str) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_record(
    file_system: FileSystem, directory: str, name: str, data: bytes, *, durable: bool = True
) -> None:
    """Write one record: temp, fsync, rename, fsync of the directory.

    With durable=False the record is whole but becomes durable only with the next synced
    record of the same directory. Raises OSError and then leaves the old record in place.
    """
    path = os.path.join(directory, name)
    file_system.write(f"{path}.tmp", data, sync=durable)
    file_system.rename(f"{path}.tmp", path)
    if durable:
        file_system.sync_directory(directory)


def reserve(directory: str, name: str) -> None:
    """Take the room of a later record now, so that a full disk cannot prevent it.

    Raises OSError when there is none. Nothing to read exists before the record is written.
    """
    path = os.path.join(directory, f"{name}.tmp")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, _RESERVED_BYTES)
    finally:
        os.close(descriptor)


def read_bytes(directory: str, name: str) -> bytes | None:
    """Return a record's bytes, None when it cannot be read."""
    try:
        descriptor = os.open(os.path.join(directory, name), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        size = min(os.fstat(descriptor).st_size, _MAX_RECORD_BYTES)
        return os.read(descriptor, size)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def read_pseudo_file(path: str) -> bytes | None:
    """Return a small file of /proc or /sys, whose size nobody knows; None when it is gone."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(descriptor, _MAX_PSEUDO_FILE_BYTES)
    except OSError:
        return None  # a process that ended between the two calls
    finally:
        os.close(descriptor)


def read_json(directory: str, name: str) -> dict[str, Any] | None:
    """Return a record's object, None when it is absent, torn or no object."""
    data = read_bytes(directory, name)
    if data is None:
        return None
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def write_bandwidth(directory: str, megabytes: float) -> None:
    """Set the limit that a transfer has of its own, in MB/s; raises OSError.

    In place and padded to one length, because the process of the transfer has the file open.
    """
    data = json.dumps({"bandwidth_mb": megabytes}).encode().ljust(_BANDWIDTH_BYTES)
    path = os.path.join(directory, BANDWIDTH)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.pwrite(descriptor, data, 0)
    finally:
        os.close(descriptor)


def read_bandwidth(directory: str) -> float | None:
    """Return the limit that was set, None when there is none yet."""
    value = (read_json(directory, BANDWIDTH) or {}).get("bandwidth_mb")
    return float(value) if isinstance(value, int | float) else None


def take_claim(directory: str, content: bytes) -> int | None:
    """Create the claim, locked for as long as the returned descriptor is open.

    Returns None when there is a claim already: whoever made it decided about this task.
    The lock is taken before the claim gets its name, so nobody ever sees it unlocked
    while its owner lives.
    """
    path = os.path.join(directory, CLAIM)
    temporary = f"{path}.{os.getpid()}"
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.write(descriptor, content)
        os.link(temporary, path)
    except FileExistsError:
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    finally:
        os.unlink(temporary)
    return descriptor


def claim_is_held(directory: str) -> bool:
    """Return whether the owner of the claim is alive; False also when there is no claim."""
    try:
        descriptor = os.open(os.path.join(directory, CLAIM), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
