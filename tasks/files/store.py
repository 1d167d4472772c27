"""Content of files on disk: `<root>/<xx>/<id>`, and `<id>.part` until it is whole.

Promises: bytes are only ever appended, in order, and each chunk is checked before it is
written; a file appears under its own name only after the whole was checked and flushed to
the disk, so that what is there is whole whatever power does. Knows no names of people and
opens nothing but ids it is given. Several processes may use one directory: who writes a
file holds its lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

READ_BYTES = 1024 * 1024
MAX_RUNNING_DIGESTS = 256
"""Digests kept while files grow; one that was dropped is computed from the disk at the end."""
_ID = re.compile(r"[0-9a-f]{8,32}")


class Gap(Exception):
    """A chunk begins behind the end; `expected` is the offset that comes next."""

    def __init__(self, expected: int) -> None:
        """Keep where the file goes on."""
        super().__init__(f"the file goes on at {expected}")
        self.expected = expected


class WrongDigest(Exception):
    """The bytes are not those that their digest names."""


class _Running(NamedTuple):
    """The digest of a growing file's first bytes."""

    size: int
    digest: Any


class FileStore:
    """The files of one directory; safe in threads."""

    def __init__(self, root: Path) -> None:
        """Use a directory; the two letters below it are made when they are needed."""
        self._root = root
        self._guard = threading.Lock()
        self._running: OrderedDict[str, _Running] = OrderedDict()

    def path(self, file_id: str) -> Path:
        """Return where the whole file lies; raises ValueError for what is no id."""
        if not _ID.fullmatch(file_id):
            raise ValueError("no id of a file")
        return self._root / file_id[:2] / file_id

    def received(self, file_id: str) -> int:
        """Return how many bytes have arrived, of a whole file all of them."""
        path = self.path(file_id)
        for one in (path, _part(path)):
            try:
                return one.stat().st_size
            except FileNotFoundError:
                continue
        return 0

    def append(self, file_id: str, offset: int, data: bytes, sha256: str) -> int:
        """Write one chunk and return the offset that comes next; a repeat writes nothing.

        Raises WrongDigest, Gap, or OSError with nothing of the chunk left behind.
        """
        if hashlib.sha256(data).hexdigest() != sha256.lower():
            raise WrongDigest
        path = self.path(file_id)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _locked(_part(path), os.O_RDWR | os.O_CREAT) as part:
            if path.exists():  # made whole since the caller looked: this was a late repeat
                _part(path).unlink(missing_ok=True)
                return path.stat().st_size
            size = os.fstat(part).st_size
            if offset > size:
                raise Gap(size)
            fresh = data[size - offset :]
            self._write(part, size, fresh)
            self._follow(file_id, size, fresh)
            return size + len(fresh)

    def finish(self, file_id: str, size_bytes: int, sha256: str = "") -> str:
        """Check the whole, flush it and give it its name; returns its SHA-256.

        Raises Gap when bytes are missing, WrongDigest when it is not what it should be, and
        OSError when the disk did not take it: then it begins anew, after OSError in a new
        file. A file that is whole already is only compared.
        """
        path = self.path(file_id)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with _locked(_part(path), os.O_RDWR | os.O_CREAT) as part:
            if path.exists():
                _part(path).unlink(missing_ok=True)
                return _compare(_digest_of(path), sha256)
            size = os.fstat(part).st_size
            if size < size_bytes:
                raise Gap(size)
            digest = self._whole_digest(file_id, _part(path), size)
            if size > size_bytes or (sha256 and digest != sha256.lower()):
                os.ftruncate(part, 0)
                self._forget(file_id)
                raise WrongDigest
            try:
                os.fsync(part)
                _part(path).rename(path)
                _flush_directory(path.parent)
            except OSError:
                self._give_up(file_id, part)
                raise
        self._forget(file_id)
        return digest

    def read(self, file_id: str, offset: int, limit: int) -> bytes:
        """Return bytes of a whole file, none past its end; raises FileNotFoundError."""
        with self.path(file_id).open("rb") as file:
            return os.pread(file.fileno(), limit, offset)

    def read_part(self, file_id: str, limit: int) -> bytes:
        """Return the beginning of what has arrived of an incomplete file."""
        with _part(self.path(file_id)).open("rb") as file:
            return os.pread(file.fileno(), limit, 0)

    def begin_anew(self, file_id: str) -> None:
        """Forget what has arrived of an incomplete file."""
        with _locked(_part(self.path(file_id)), os.O_RDWR) as part:
            if not self.path(file_id).exists():  # else the lock is that of the whole file
                os.ftruncate(part, 0)
        self._forget(file_id)

    def remove(self, file_id: str) -> None:
        """Delete a file, whole or not."""
        path = self.path(file_id)
        path.unlink(missing_ok=True)
        _part(path).unlink(missing_ok=True)
        self._forget(file_id)

    def old_ids(self, before: float) -> Iterator[str]:
        """Yield the ids of what was last written before a moment (seconds since the epoch)."""
        for entry in self._root.glob("[0-9a-f][0-9a-f]/*"):
            file_id = entry.name.removesuffix(".part")
            try:
                is_old = entry.stat().st_mtime < before
            except FileNotFoundError:
                continue  # made whole or removed while we looked
            if is_old and _ID.fullmatch(file_id):
                yield file_id

    def _write(self, part: int, size: int, data: bytes) -> None:
        """Append to an open part, all or nothing: a full disk must not leave half a chunk."""
        rest, position = memoryview(data), size
        try:
            while rest:
                written = os.pwrite(part, rest, position)
                rest, position = rest[written:], position + written
        except OSError:
            os.ftruncate(part, size)
            raise

    def _give_up(self, file_id: str, part: int) -> None:
        """Remove what could not be flushed; the caller holds the lock.

        A second flush of the same file would succeed without having written anything: the
        kernel reports a failure once and marks the pages clean.
        """
        self.remove(file_id)
        with suppress(OSError):  # who waits for the lock has it open and must find nothing
            os.ftruncate(part, 0)

    def _follow(self, file_id: str, size: int, data: bytes) -> None:
        """Take appended bytes into the running digest, if it has all that came before."""
        with self._guard:
            running = self._running.pop(file_id, None)
        if size == 0:
            running = _Running(0, hashlib.sha256())
        if running is None or running.size != size:
            return
        running.digest.update(data)
        with self._guard:
            self._running[file_id] = _Running(size + len(data), running.digest)
            if len(self._running) > MAX_RUNNING_DIGESTS:
                self._running.popitem(last=False)

    def _whole_digest(self, file_id: str, part: Path, size: int) -> str:
        """Return the digest of a part: the running one, or after a restart from the disk."""
        with self._guard:
            running = self._running.get(file_id)
        if running is not None and running.size == size:
            return str(running.digest.hexdigest())
        return _digest_of(part)

    def _forget(self, file_id: str) -> None:
        """Drop the running digest of a file."""
        with self._guard:
            self._running.pop(file_id, None)


def _part(path: Path) -> Path:
    """Return where an incomplete file lies."""
    return path.with_name(f"{path.name}.part")


@contextmanager
def _locked(path: Path, flags: int) -> Iterator[int]:
    """Yield an open file whose lock is held; never follows a link."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        # Of this very descriptor, so it keeps threads apart as well as processes.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _digest_of(path: Path) -> str:
    """Return the SHA-256 of a file, read piece by piece."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(digest: str, wanted: str) -> str:
    """Return the digest; raises WrongDigest when another one is wanted."""
    if wanted and digest != wanted.lower():
        raise WrongDigest
    return digest


def _flush_directory(path: Path) -> None:
    """Make a rename durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
