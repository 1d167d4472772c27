"""Which names and sizes an archive may have: checked for all entries before one is written.

Only files and directories, only relative names that stay below, none twice, none that is
both. The limits are on the count, the depth, each name, all names, the sum and how much
larger it is than the archive. Pure.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from agent_client.errors import Rejected

MAX_ENTRIES = 100_000
MAX_DEPTH = 64
MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 4096
MAX_NAMES_BYTES = 32 * 1024 * 1024
"""All names together: they are kept in memory, and a few MB of archive can hold 400 of them."""
MAX_RATIO = 200
FREE_OF_RATIO_BYTES = 64 * 1024 * 1024
"""Small archives may unpack to this much whatever their ratio: zeros compress well."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as its header tells it: size in bytes, offset of its data in the archive."""

    name: str
    is_directory: bool
    size: int
    is_executable: bool = False
    offset: int = 0


@dataclass(slots=True)
class Inventory:
    """All entries so far; the archive's size is that of the file it came in."""

    archive_bytes: int
    room_bytes: int
    """How much the target's file system can take."""
    total_bytes: int = 0
    names_bytes: int = 0
    files: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)

    def add(self, entry: Entry) -> tuple[str, ...]:
        """Take an entry and return the parts of its name; raises Rejected."""
        parts = parts_of(entry.name)
        parents = {"/".join(parts[:count]) for count in range(1, len(parts))}
        name = "/".join(parts)
        is_twice = name in self.files or (name in self.directories and not entry.is_directory)
        if is_twice or parents & self.files:
            raise refused(f"{shown(entry.name)} stands in it twice, or as file and directory")
        if not parts and not entry.is_directory:
            raise refused("a file without a name stands in it")
        self._add_names(parents, name, is_directory=entry.is_directory)
        self._add_size(entry)
        return parts

    def _add_names(self, parents: set[str], name: str, *, is_directory: bool) -> None:
        """Keep what is new of an entry's names; raises Rejected when they are too many."""
        fresh = parents - self.directories
        self.directories |= fresh
        if name and name not in self.directories:
            (self.directories if is_directory else self.files).add(name)
            fresh.add(name)
        if len(self.files) + len(self.directories) > MAX_ENTRIES:
            raise refused(f"it has more than {MAX_ENTRIES} entries")
        self.names_bytes += sum(len(os.fsencode(one)) for one in fresh)
        if self.names_bytes > MAX_NAMES_BYTES:
            raise refused(f"its names have more than {MAX_NAMES_BYTES} bytes together")

    def _add_size(self, entry: Entry) -> None:
        """Count what is to be written; raises Rejected when it is too much."""
        if entry.size < 0:
            raise refused(f"{shown(entry.name)} has an impossible size")
        self.total_bytes += entry.size
        bound = max(FREE_OF_RATIO_BYTES, MAX_RATIO * self.archive_bytes)
        if self.total_bytes > bound:
            raise refused(f"it unpacks to more than {MAX_RATIO} times its size")
        if self.total_bytes > self.room_bytes:
            raise Rejected("The archive's content does not fit on the disk.", code="disk_full")


def parts_of(name: str) -> tuple[str, ...]:
    """Return the components of an entry's name; raises Rejected for one that may lead out."""
    try:
        raw = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise refused(f"{shown(name)} cannot be a file name") from None
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts:
        raise refused(f"{shown(name)} leads out of the directory")
    if "\\" in name or any(ord(char) < 32 or ord(char) == 127 for char in name):
        raise refused(f"{shown(name)} has characters that no file name should have")
    sizes = [len(part.encode("utf-8", "surrogateescape")) for part in parts]
    if (
        len(parts) > MAX_DEPTH
        or len(raw) > MAX_PATH_BYTES
        or max(sizes, default=0) > MAX_NAME_BYTES
    ):
        raise refused(f"{shown(name)} is too long or too deep")
    return parts


def refused(problem: str) -> Rejected:
    """Return the refusal of a whole archive."""
    return Rejected(f"The archive is refused: {problem}.", code="archive_refused")


def shown(name: str) -> str:
    """Return a name as it may be printed."""
    return ascii(name[:120])
