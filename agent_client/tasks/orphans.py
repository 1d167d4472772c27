"""The ended tasks of a former installation: no server will ever confirm them, so they are bounded.

A task that still runs, or has no end record, is never touched, whoever it belongs to. Pure
but for reading the directories; whoever asks removes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.adoption import Finding, judge, scan

KEPT_SECONDS = 30 * 24 * 3600.0
"""How long they are kept: a host that was moved by mistake can be moved back."""
MAX_BYTES = 1024**3
SAFE_SECONDS = 24 * 3600.0
"""Nothing is removed for its size before this age."""
MAX_FILES = 100_000
"""How many files are counted below one path; a report must not take minutes."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """The ended task of another installation; age in seconds since its last change."""

    path: Path
    size_bytes: int
    age_seconds: float


def find_orphans(root: Path, installation: str, *, now: float) -> list[Orphan]:
    """Return the ended tasks of other installations, the oldest first; now is seconds (UTC)."""
    if not installation or not root.is_dir():
        return []
    found = []
    for owner, _, directory in scan(root, file_system=FileSystem()):
        if owner == installation or judge(directory) is not Finding.FINISHED:
            continue
        changed = max(path.lstat().st_mtime for path in (directory.path, *files(directory.path)))
        found.append(Orphan(directory.path, size_of(directory.path), now - changed))
    return sorted(found, key=lambda one: -one.age_seconds)


def doomed(orphans: list[Orphan]) -> list[Orphan]:
    """Return which of them, the oldest first, are to go: too old, or too many bytes in all."""
    total = sum(one.size_bytes for one in orphans)
    gone = []
    for one in orphans:
        # Too many bytes are no reason to lose what somebody may still be looking for today.
        is_over = total > MAX_BYTES and one.age_seconds > SAFE_SECONDS
        if one.age_seconds > KEPT_SECONDS or is_over:
            gone.append(one)
            total -= one.size_bytes
    return gone


def size_of(path: Path) -> int:
    """Return the bytes of the files below a path; 0 when there is nothing to read."""
    total = 0
    for file in files(path):
        try:
            total += file.lstat().st_size
        except OSError:
            continue  # it was removed meanwhile
    return total


def files(path: Path) -> Iterator[Path]:
    """Yield the files below a path without following links, at most MAX_FILES."""
    count = 0
    for folder, _, names in os.walk(path):
        for name in names:
            count += 1
            if count > MAX_FILES:
                return
            yield Path(folder, name)
