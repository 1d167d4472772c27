"""Brings a file to the host: into a neighbour that is hidden, checked whole, then renamed.

Nothing is ever seen under the file's name before it is complete and on disk. What had
arrived before an interruption is kept beside the target, named by the content's digest, so
that another task with the same file goes on there too.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import hashlib
import os
import pwd
import re
import shutil
import stat
import time
from typing import NamedTuple

from agent_client.errors import Rejected
from agent_client.files.bandwidth import Pace
from agent_client.files.progress import Progress, amount
from agent_client.files.roots import open_plain, unusable
from agent_client.files.server import TransferServer
from agent_client.protocol.transfers import MAX_CHUNK_BYTES, Transfer

FILE_MODE = 0o644
_PART_MODE = 0o600
_PERMISSIONS = 0o777
_PART = re.compile(r"\..{1,120}\.[0-9a-z]{16}\.part", re.DOTALL)
_TAG = re.compile(r"[0-9a-z]{16}")
STALE_SECONDS = 7 * 24 * 3600
_SHOWN_NAME = 80
RESERVE_BYTES = 64 * 1024 * 1024
"""What stays free on the target's file system, whatever is brought there."""
_NEW_PART = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Target(NamedTuple):
    """Where a file is to be: a handle of its directory, its name, and the path as given."""

    directory: int
    name: str
    path: str


class Part(NamedTuple):
    """What has arrived so far: an open file that is locked, and its name."""

    descriptor: int
    name: str


def receive(
    target: Target, transfer: Transfer, *, server: TransferServer, pace: Pace, progress: Progress
) -> None:
    """Bring the file under its name; raises Rejected or OSError, then the name is untouched."""
    check_free_name(target, overwrite=transfer.overwrite)
    with contextlib.ExitStack() as stack:
        part = open_part(target, transfer)
        stack.callback(os.close, part.descriptor)
        fill(part, target, transfer, server=server, pace=pace, progress=progress)
        finish(part, target, transfer)
        move_into_place(part.name, target, overwrite=transfer.overwrite)
    progress.say(f"{transfer.path}: {amount(transfer.size_bytes or 0)} arrived whole")


def check_free_name(target: Target, *, overwrite: bool) -> None:
    """Refuse a target that is there already, or that is no file; raises Rejected."""
    try:
        found = os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise unusable(target.path, "is a directory; add the name the file is to have")
    if not overwrite:
        raise exists(target.path)


def exists(path: str) -> Rejected:
    """Return the refusal to replace something without being asked to."""
    return Rejected(f"{path} exists already; ask for overwrite to replace it.", code="file_exists")


def open_part(target: Target, transfer: Transfer) -> Part:
    """Return the neighbour that takes the bytes, locked; raises Rejected or OSError."""
    _remove_stale(target.directory)
    tags = [transfer.sha256[:16]] if transfer.sha256 else []
    for tag in (*tags, transfer.id[:16].ljust(16, "x")):
        name = neighbour(target.name, tag, "part")
        try:
            descriptor = _open_or_make(target, name)
        except Rejected:
            continue  # A link or the like, which somebody else has put there.
        found = os.fstat(descriptor)
        is_ours = found.st_nlink == 1
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            is_ours = False  # Another transfer of the same content is at it.
        if is_ours and found.st_uid == os.geteuid() and _is_named(found, name, target.directory):
            return Part(descriptor, name)
        os.close(descriptor)
    raise unusable(target.path, "has a neighbour .part file that another transfer is filling")


def _open_or_make(target: Target, name: str) -> int:
    """Return a descriptor of a plain file of that name; raises Rejected or OSError."""
    try:
        return os.open(name, _NEW_PART, _PART_MODE, dir_fd=target.directory)
    except FileExistsError:
        return open_plain(target.directory, name, target.path, flags=os.O_RDWR)


def neighbour(name: str, tag: str, purpose: str) -> str:
    """Return the hidden name of something of ours beside what has that name; raises Rejected.

    A tag comes from the server: one with a slash in it would lead out of the directory.
    """
    if not _TAG.fullmatch(tag):
        raise Rejected("The transfer has an id or a digest that is none.", code="offer_invalid")
    shown = name.encode("utf-8", "surrogateescape")[:_SHOWN_NAME].decode("utf-8", "ignore")
    return f".{shown}.{tag}.{purpose}"


def _is_named(found: os.stat_result, name: str, directory: int) -> bool:
    """Return whether an open file still has its name.

    Who held the lock before may have moved it into place: it is no .part any more.
    """
    try:
        now = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, now)


def fill(
    part: Part,
    target: Target,
    transfer: Transfer,
    *,
    server: TransferServer,
    pace: Pace,
    progress: Progress,
) -> None:
    """Fetch what is missing and check the whole; raises Rejected or OSError."""
    total = transfer.size_bytes or 0
    digest, done = _digest_of_start(part.descriptor, total)
    _check_space(target, total - done)
    if done:
        progress.say(f"going on at {amount(done)} of {amount(total)}")
    while done < total:
        size = min(MAX_CHUNK_BYTES, pace.chunk_bytes or MAX_CHUNK_BYTES, total - done)
        pace.wait(size)
        data = server.fetch(done, size)
        if not data:
            raise Rejected("The server has less than it said.", code="server_answer_invalid")
        write_all(part.descriptor, data, done)
        digest.update(data)
        done += len(data)
        progress.moved(done, total)
    if transfer.sha256 and digest.hexdigest() != transfer.sha256:
        # Nothing of it can be trusted: the next try begins anew.
        os.unlink(part.name, dir_fd=target.directory)
        raise Rejected("What arrived is not what was sent.", code="digest_mismatch")


def write_all(descriptor: int, data: bytes, offset: int) -> None:
    """Write bytes at an offset; raises OSError, a full disk as Rejected."""
    view = memoryview(data)
    try:
        while view:
            written = os.pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Rejected("The disk of the target is full.", code="disk_full") from error
        raise


def finish(part: Part, target: Target, transfer: Transfer) -> None:
    """Give the file its size, owner and mode, and have it on disk; raises Rejected or OSError."""
    os.ftruncate(part.descriptor, transfer.size_bytes or 0)
    if transfer.owner:
        os.fchown(part.descriptor, *owner_ids(transfer.owner, target.path))
    os.fchmod(part.descriptor, _mode(target, transfer))
    try:
        os.fsync(part.descriptor)
    except OSError:
        # The memory may still show what the disk has refused, and the next fsync be silent.
        with contextlib.suppress(OSError):
            os.unlink(part.name, dir_fd=target.directory)
        raise


def move_into_place(part: str, target: Target, *, overwrite: bool) -> None:
    """Let the complete file appear under its name, at once and durably."""
    directory, name = target.directory, target.name
    if overwrite:
        os.rename(part, name, src_dir_fd=directory, dst_dir_fd=directory)
    else:
        try:
            # A link does not replace what somebody has put there meanwhile.
            os.link(part, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            raise exists(target.path) from None
        os.unlink(part, dir_fd=directory)
    os.fsync(directory)


def owner_ids(owner: str, path: str) -> tuple[int, int]:
    """Return the numbers of "user" or "user:group", -1 for what stays; raises Rejected."""
    user, _, group = owner.partition(":")
    try:
        entry = pwd.getpwnam(user)
        group_id = grp.getgrnam(group).gr_gid if group else entry.pw_gid
    except KeyError:
        raise unusable(path, f"cannot belong to {owner}: no such user or group here") from None
    if os.geteuid() != 0 and (entry.pw_uid != os.geteuid() or group_id not in os.getgroups()):
        raise unusable(path, f"cannot be given to {owner}: the agent does not run as root")
    return entry.pw_uid, group_id


def _mode(target: Target, transfer: Transfer) -> int:
    """Return the permissions to set: as asked, else as they were, else those of a new file.

    Permissions alone: no order makes a file run as its owner or its group.
    """
    if transfer.mode is not None:
        return transfer.mode & _PERMISSIONS
    try:
        found = os.stat(target.name, dir_fd=target.directory, follow_symlinks=False)
    except FileNotFoundError:
        return FILE_MODE
    return found.st_mode & _PERMISSIONS if stat.S_ISREG(found.st_mode) else FILE_MODE


def _digest_of_start(descriptor: int, total: int) -> tuple[hashlib._Hash, int]:
    """Return the digest of what has arrived before, and how much that is."""
    digest, done = hashlib.sha256(), 0
    while done < total:
        data = os.pread(descriptor, min(MAX_CHUNK_BYTES, total - done), done)
        if not data:
            break
        digest.update(data)
        done += len(data)
    return digest, done


def _check_space(target: Target, missing: int) -> None:
    """Refuse before the first byte what cannot fit; raises Rejected."""
    found = os.fstatvfs(target.directory)
    free = found.f_bavail * found.f_frsize
    if missing and missing > free - RESERVE_BYTES:
        raise Rejected(
            f"{amount(missing)} are needed for {target.path}, {amount(free)} are free "
            f"({amount(RESERVE_BYTES)} stay so).",
            code="disk_full",
        )


def _remove_stale(directory: int) -> None:
    """Remove what interrupted transfers have left here long ago."""
    before = time.time() - STALE_SECONDS
    for name in os.listdir(directory):
        if not _PART.fullmatch(name):
            continue
        with contextlib.suppress(OSError):
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if found.st_mtime < before and found.st_uid == os.geteuid():
                if stat.S_ISDIR(found.st_mode):
                    shutil.rmtree(name, dir_fd=directory)
                else:
                    os.unlink(name, dir_fd=directory)
