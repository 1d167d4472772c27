"""Reads a package without trusting anything in it: every name and size is checked first.

Only plain files with plain relative names are taken; links, devices, parents, duplicates
and too much of anything refuse the whole package before one byte is written. The archive
is only read by `tarfile`; nothing is extracted by it.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from agent_client.plugins.signing import refused
from agent_client.protocol.plugin_package import MAX_DEPTH, MAX_FILES, MAX_UNPACKED_BYTES

_NAME = re.compile(r"[A-Za-z0-9_+@=,-][A-Za-z0-9_.+@=,-]{0,99}\Z")
"""Of one component: what needs no quoting anywhere, and never begins with a dot."""
_HEADER_BYTES = 2 * 1024 * 1024
"""What the archive may have beside its files."""
_READ_BYTES = 64 * 1024
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)


class Content(NamedTuple):
    """One file of a package."""

    data: bytes
    is_executable: bool


class _Bounded(io.RawIOBase):
    """Gives what was compressed, but never more than a number of bytes."""

    def __init__(self, stream: gzip.GzipFile, limit_bytes: int) -> None:
        self._stream = stream
        self._left_bytes = limit_bytes

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(self._left_bytes + 1 if size < 0 else size)
        self._left_bytes -= len(data)
        if self._left_bytes < 0:
            raise refused("the package unpacks to too many bytes")
        return data


def read_package(data: bytes) -> dict[str, Content]:
    """Return the files of a package by name; raises Rejected."""
    files: dict[str, Content] = {}
    directories: set[str] = set()
    total = 0
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as compressed:
            # A bomb is noticed while it unpacks, not afterwards.
            stream = _Bounded(compressed, MAX_UNPACKED_BYTES + _HEADER_BYTES)
            with tarfile.open(fileobj=stream, mode="r|") as tar:
                for entry in tar:
                    # By the header, before a byte of the file is read.
                    total += entry.size
                    _check(entry, files, directories, total)
                    if entry.isdir():
                        continue
                    content = tar.extractfile(entry)
                    assert content is not None  # noqa: S101 (it is a plain file)
                    files[entry.name] = Content(content.read(), bool(entry.mode & 0o100))
            # The checksum comes last; only who reads on compares it.
            while stream.read(_READ_BYTES):
                continue
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise refused(f"the package is damaged: {error}") from error
    return files


def _check(
    entry: tarfile.TarInfo, files: Mapping[str, Content], directories: set[str], total: int
) -> None:
    """Refuse an entry that no package of ours has."""
    name = entry.name
    if not (entry.isdir() or entry.type in _PLAIN) or entry.size < 0:
        raise refused(f"the package has something that is no plain file: {name!r}")
    # Names are checked as they are: cleaning them up is how escapes slip through.
    parts = name.split("/")
    if len(parts) > MAX_DEPTH or not all(_NAME.match(part) for part in parts):
        raise refused(f"the package has a name that is not allowed: {name!r}")
    # A file that is a directory elsewhere would decide by its order which one wins.
    parents = {"/".join(parts[:count]) for count in range(1, len(parts))}
    if name in files or parents & files.keys() or (name in directories and not entry.isdir()):
        raise refused(f"the package has a name twice: {name!r}")
    directories |= parents
    if entry.isdir():
        directories.add(name)
    if len(files) >= MAX_FILES or len(directories) > MAX_FILES:
        raise refused(f"the package has more than {MAX_FILES} files")
    if total > MAX_UNPACKED_BYTES:
        raise refused(f"the package unpacks to more than {MAX_UNPACKED_BYTES} bytes")


def write_files(files: Mapping[str, Content], directory: Path) -> None:
    """Write the files of a package into a new directory; raises OSError."""
    directory.mkdir(mode=0o700)
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        mode = 0o700 if content.is_executable else 0o600
        # O_EXCL and O_NOFOLLOW: nothing that is there already is written through.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, mode), "wb") as file:
            file.write(content.data)
            file.flush()
            os.fsync(file.fileno())


def is_unchanged(files: Mapping[str, Content], directory: Path) -> bool:
    """Return whether a directory holds exactly the files of a package, and nothing else."""
    found: set[str] = set()
    for place, directories, names in os.walk(directory):
        # A link could lead to files that change after this look.
        if any((Path(place) / one).is_symlink() for one in (*directories, *names)):
            return False
        found |= {(Path(place) / name).relative_to(directory).as_posix() for name in names}
    if found != files.keys():
        return False
    return all(
        (directory / name).read_bytes() == content.data
        and bool((directory / name).stat().st_mode & 0o100) == content.is_executable
        for name, content in files.items()
    )
