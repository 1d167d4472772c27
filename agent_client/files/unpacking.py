"""Unpacks an archive beside its target, and renames it into place when all of it is there.

First every entry is looked at, then the first byte is written. Everything is written by
directory handles below one new directory that only we have, so no name and no link can lead
out of it. Kept of an entry's mode is whether it is executable.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gzip
import os
import secrets
import stat
import zipfile
import zlib
from collections.abc import Callable, Generator
from functools import partial
from typing import BinaryIO, NamedTuple, cast

from agent_client.errors import Rejected
from agent_client.files.archive_names import Entry, Inventory, refused, shown
from agent_client.files.bandwidth import Pace
from agent_client.files.progress import Progress, amount
from agent_client.files.receiving import (
    RESERVE_BYTES,
    Target,
    exists,
    fill,
    neighbour,
    open_part,
    owner_ids,
)
from agent_client.files.replacing import put_in_place, remove, restore
from agent_client.files.roots import unusable
from agent_client.files.server import TransferServer
from agent_client.files.tar_entries import tar_entries
from agent_client.files.zip_entries import open_zip, zip_entries
from agent_client.protocol.transfers import Transfer

PIECE_BYTES = 1024 * 1024
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, gzip.BadGzipFile, NotImplementedError)

Open = Callable[[], BinaryIO]
"""Gives the bytes of an entry, right after it was yielded."""


class Owner(NamedTuple):
    """Whom the unpacked files belong to; -1 leaves it."""

    uid: int = -1
    gid: int = -1


def receive_archive(
    target: Target, transfer: Transfer, *, server: TransferServer, pace: Pace, progress: Progress
) -> None:
    """Bring the archive here and its content under the target's name.

    Raises Rejected or OSError; then the name is untouched.
    """
    restore(target)
    _check_target(target, overwrite=transfer.overwrite)
    owner = Owner(*owner_ids(transfer.owner, target.path)) if transfer.owner else Owner()
    with contextlib.ExitStack() as stack:
        part = open_part(target, transfer)
        stack.callback(os.close, part.descriptor)
        fill(part, target, transfer, server=server, pace=pace, progress=progress)
        # A name that a later transfer would clean up.
        work = neighbour(target.name, secrets.token_hex(8), "part")
        os.mkdir(work, 0o700, dir_fd=target.directory)
        stack.callback(remove, work, target)
        inventory = unpack_into(part.descriptor, work, target, owner=owner)
        put_in_place(work, target, overwrite=transfer.overwrite)
        os.unlink(part.name, dir_fd=target.directory)
        os.fsync(target.directory)
    count, size = len(inventory.files), amount(inventory.total_bytes)
    progress.say(f"{target.path}: {count} files with {size} unpacked")


def unpack_into(descriptor: int, work: str, target: Target, *, owner: Owner) -> Inventory:
    """Check an archive, then write its content into a directory; raises Rejected."""
    room = os.fstatvfs(target.directory)
    empty = partial(
        Inventory,
        archive_bytes=os.fstat(descriptor).st_size,
        room_bytes=room.f_bavail * room.f_frsize - RESERVE_BYTES,
    )
    base = os.open(work, _DIRECTORY, dir_fd=target.directory)
    try:
        inventory = empty()
        with contextlib.closing(_entries(descriptor)) as found:
            for entry, _ in found:
                inventory.add(entry)
        # Checked anew instead of remembered: the parts of all names would be a third copy.
        inventory = empty()
        with contextlib.closing(_entries(descriptor)) as found:
            for entry, open_entry in found:
                _write(base, inventory.add(entry), entry, open_entry, owner)
        os.fchown(base, *owner)
        os.fchmod(base, 0o755)
        _sync(base)
    except _BROKEN as error:
        raise refused(f"it is damaged ({error or type(error).__name__})") from error
    finally:
        os.close(base)
    return inventory


def _entries(descriptor: int) -> Generator[tuple[Entry, Open]]:
    """Yield the entries of a tar, tar.gz or zip; each can be read until the next one."""
    with open(descriptor, "rb", closefd=False) as stream:
        stream.seek(0)
        magic = stream.read(4)
        stream.seek(0)
        if magic in (b"PK\x03\x04", b"PK\x05\x06"):
            with open_zip(stream) as archive:
                for entry, info in zip_entries(archive):
                    yield entry, partial(_open_packed, archive, info)
        elif magic[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=stream) as plain:
                tar = cast("BinaryIO", plain)
                yield from ((entry, lambda: tar) for entry in tar_entries(tar))
        else:
            yield from ((entry, lambda: stream) for entry in tar_entries(stream))


def _open_packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    """Return the bytes of an entry of a zip."""
    return cast("BinaryIO", archive.open(info))


def _write(base: int, parts: tuple[str, ...], entry: Entry, open_entry: Open, owner: Owner) -> None:
    """Write one entry below the base."""
    if not parts:
        return
    directory = _directory(base, parts if entry.is_directory else parts[:-1], owner)
    try:
        if not entry.is_directory:
            _write_file(directory, parts[-1], entry, open_entry(), owner)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Rejected("The disk of the target is full.", code="disk_full") from error
        raise
    finally:
        os.close(directory)


def _directory(base: int, parts: tuple[str, ...], owner: Owner) -> int:
    """Return a handle of a directory below the base; those missing are made."""
    descriptor = os.dup(base)
    for part in parts:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, 0o755, dir_fd=descriptor)
        following = os.open(part, _DIRECTORY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = following
        os.fchown(descriptor, *owner)
    return descriptor


def _write_file(directory: int, name: str, entry: Entry, data: BinaryIO, owner: Owner) -> None:
    """Write one file with exactly the bytes its header says; raises Rejected or OSError."""
    mode = 0o755 if entry.is_executable else 0o644
    with open(os.open(name, _NEW_FILE, mode, dir_fd=directory), "wb") as file:
        left = entry.size
        while left:
            piece = data.read(min(PIECE_BYTES, left))
            if not piece:
                raise refused(f"{shown(entry.name)} is cut off")
            file.write(piece)
            left -= len(piece)
        if isinstance(data, zipfile.ZipExtFile) and data.read(1):
            raise refused(f"{shown(entry.name)} is larger than it says")
        os.fchown(file.fileno(), *owner)


def _check_target(target: Target, *, overwrite: bool) -> None:
    """Refuse a target that is there already, unless a directory may be replaced."""
    try:
        found = os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(found.st_mode):
        raise unusable(target.path, "is no directory; an archive is unpacked into one")
    if not overwrite:
        raise exists(target.path)


def _sync(descriptor: int) -> None:
    """Have everything on the file system on disk; one call for any number of files."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None or syncfs(descriptor):
        os.sync()
