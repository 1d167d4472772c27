"""Packs a directory into an archive that has no name: plain files and directories only.

Links are not followed and not packed, the agent's own directories are left out; what is
left out is said. The archive is complete before its first byte is sent, so that its size
and digest are known and a transfer can go on where it was interrupted.
"""

from __future__ import annotations

import errno
import os
import stat
import tarfile
import tempfile
from collections.abc import Callable
from itertools import islice
from typing import BinaryIO, cast

from agent_client.errors import Rejected
from agent_client.files.archive_names import MAX_DEPTH, MAX_ENTRIES, MAX_NAMES_BYTES, refused
from agent_client.files.progress import amount
from agent_client.files.roots import open_directory, open_plain
from agent_client.files.sending import changed

RESERVE_BYTES = 256 * 1024 * 1024
"""What stays free on the disk of the agent: its tasks need it."""
MAX_NAMED = 20


def pack(
    directory: int,
    path: str,
    *,
    is_hidden: Callable[[os.stat_result], bool],
    say: Callable[[str], None],
    place: str = ".",
) -> int:
    """Return a descriptor of the archive, at its beginning; raises Rejected or OSError.

    directory is a handle of what is packed, place where the archive is kept meanwhile.
    """
    packer = _Packer(path, is_hidden, say, place)
    with tempfile.TemporaryFile(dir=place) as spool:
        try:
            with tarfile.open(fileobj=spool, mode="w", format=tarfile.PAX_FORMAT) as archive:
                packer.pack(archive, directory)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise _no_room(path) from error
            raise
        packer.report()
        spool.seek(0)
        return os.dup(spool.fileno())


class _Packer:
    """Walks one directory by handles and adds what it finds."""

    def __init__(
        self,
        path: str,
        is_hidden: Callable[[os.stat_result], bool],
        say: Callable[[str], None],
        place: str,
    ) -> None:
        self._path = path
        self._is_hidden = is_hidden
        self._say = say
        self._place = place
        self._entries = 0
        self._names_bytes = 0
        self._left_out = 0

    def pack(self, archive: tarfile.TarFile, directory: int, below: str = "") -> None:
        """Add everything below the directory, by name."""
        with os.scandir(directory) as found:
            names = sorted(one.name for one in islice(found, MAX_ENTRIES + 1))
        if len(names) > MAX_ENTRIES:
            raise self._too_many()
        for name in names:
            try:
                kind = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            except FileNotFoundError:
                self._leave_out(os.path.join(below, name), "it has vanished")
                continue
            add = self._add_directory if stat.S_ISDIR(kind) else self._add_file
            add(archive, os.path.join(below, name), name, directory)
            # The library keeps every header for whoever reads the archive; nobody does here.
            archive.members.clear()  # type: ignore[attr-defined]  # typeshed lacks it

    def report(self) -> None:
        """Say how much was left out."""
        if self._left_out > MAX_NAMED:
            self._say(f"{self._left_out} entries in all were left out")

    def _add_directory(self, archive: tarfile.TarFile, name: str, last: str, handle: int) -> None:
        """Add one directory with all that is below it; what became a link is left out."""
        try:
            descriptor = open_directory(handle, last, name)
        except Rejected as error:
            self._leave_out(name, error.detail)
            return
        try:
            found = os.fstat(descriptor)
            if self._is_hidden(found):
                self._leave_out(name, "the agent's own")
                return
            info = self._info(name, found)
            info.type = tarfile.DIRTYPE
            archive.addfile(info)
            self.pack(archive, descriptor, name)
        finally:
            os.close(descriptor)

    def _add_file(self, archive: tarfile.TarFile, name: str, last: str, handle: int) -> None:
        """Add one plain file; anything else is left out and said."""
        try:
            descriptor = open_plain(handle, last, name)
        except Rejected as error:
            self._leave_out(name, error.detail)
            return
        with open(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            if self._is_hidden(found):
                self._leave_out(name, "the agent's own")
                return
            self._check_room(found.st_size)
            info = self._info(name, found)
            info.size = found.st_size
            try:
                archive.addfile(info, cast("BinaryIO", file))
            except OSError as error:
                if error.errno is None:  # tarfile's own: the file has become shorter
                    raise changed(os.path.join(self._path, name)) from error
                raise

    def _info(self, name: str, found: os.stat_result) -> tarfile.TarInfo:
        self._entries += 1
        if self._entries > MAX_ENTRIES:
            raise self._too_many()
        if name.count("/") >= MAX_DEPTH:
            raise refused(f"{self._path} has more than {MAX_DEPTH} directories in one another")
        info = tarfile.TarInfo(os.path.normpath(name))
        # What is refused where it is unpacked need not be sent.
        self._names_bytes += len(os.fsencode(info.name))
        if self._names_bytes > MAX_NAMES_BYTES:
            raise refused(f"the names in {self._path} have more than {MAX_NAMES_BYTES} bytes")
        info.mode = stat.S_IMODE(found.st_mode)
        info.mtime = found.st_mtime
        return info

    def _too_many(self) -> Rejected:
        return refused(f"{self._path} has more than {MAX_ENTRIES} entries")

    def _leave_out(self, name: str, reason: str) -> None:
        self._left_out += 1
        if self._left_out <= MAX_NAMED:
            self._say(f"left out: {name} ({reason})")

    def _check_room(self, size: int) -> None:
        found = os.statvfs(self._place)
        if found.f_bavail * found.f_frsize < size + RESERVE_BYTES:
            raise _no_room(self._path)


def _no_room(path: str) -> Rejected:
    reserve = amount(RESERVE_BYTES)
    return Rejected(
        f"The archive of {path} does not fit on the agent's disk ({reserve} stay free).",
        code="disk_full",
    )
