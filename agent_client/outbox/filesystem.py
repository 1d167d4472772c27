"""The few calls on the file system that the outbox makes, so that tests can fail each one.

Names are relative to one directory. Every call raises OSError as the system does; nothing
is retried here.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class FileSystem(Protocol):
    """One directory of small files; durable means it survives a power cut."""

    def names(self) -> Sequence[str]:
        """Return the names of the files, in no order."""

    def open(self, name: str) -> int:
        """Open a file for appending, created when missing; returns a descriptor."""

    def write(self, descriptor: int, data: bytes) -> int:
        """Append data and return how many bytes were taken."""

    def fsync(self, descriptor: int) -> None:
        """Make what was written durable."""

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return bytes of a file; size -1 is to the end."""

    def truncate(self, name: str, size: int) -> None:
        """Cut a file to a size."""

    def rename(self, source: str, target: str) -> None:
        """Rename a file over another."""

    def unlink(self, name: str) -> None:
        """Remove a file."""

    def sync_directory(self) -> None:
        """Make created, renamed and removed names durable."""


class LocalFileSystem:
    """The real directory; made with mode 0700 when it is missing."""

    def __init__(self, directory: Path) -> None:
        """Name the directory and create it; raises OSError."""
        self._directory = directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def names(self) -> Sequence[str]:
        """Return the names of the files, in no order."""
        return [path.name for path in self._directory.iterdir()]

    def open(self, name: str) -> int:
        """Open a file for appending, readable by this user only."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._directory / name, flags, 0o600)

    def write(self, descriptor: int, data: bytes) -> int:
        """Append data and return how many bytes were taken."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Make data and size durable; times of the file are not needed."""
        os.fdatasync(descriptor) if hasattr(os, "fdatasync") else os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        os.close(descriptor)

    def read(self, name: str, offset: int = 0, size: int = -1) -> bytes:
        """Return bytes of a file; size -1 is to the end."""
        with (self._directory / name).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def truncate(self, name: str, size: int) -> None:
        """Cut a file to a size."""
        os.truncate(self._directory / name, size)

    def rename(self, source: str, target: str) -> None:
        """Rename a file over another."""
        (self._directory / source).replace(self._directory / target)

    def unlink(self, name: str) -> None:
        """Remove a file."""
        (self._directory / name).unlink()

    def sync_directory(self) -> None:
        """Make created, renamed and removed names durable."""
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_whole(files: FileSystem, descriptor: int, data: bytes) -> None:
    """Append all of data; raises OSError, after which part of it may be in the file."""
    view = memoryview(data)
    while view:
        view = view[files.write(descriptor, bytes(view)) :]


def replace_file(files: FileSystem, name: str, data: bytes, *, is_durable: bool) -> None:
    """Replace a file as a whole; is_durable syncs the content before the name."""
    temporary = f".{name}.new"
    if temporary in files.names():
        # Left by a crash; appending to it would store two contents.
        files.unlink(temporary)
    descriptor = files.open(temporary)
    try:
        write_whole(files, descriptor, data)
        if is_durable:
            files.fsync(descriptor)
    finally:
        files.close(descriptor)
    files.rename(temporary, name)
    if is_durable:
        files.sync_directory()
