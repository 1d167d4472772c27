"""What a former installation left behind: no server will ever confirm it, so it is bounded.

A task that still runs, or may, is never touched, whoever it belongs to. Pure but for reading
the directories; whoever asks removes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.adoption import Finding, judge, scan
from agent_client.tasks.identity import boot_id
from agent_client.tasks.taskdir import Claim, TaskDirectory

KEPT_SECONDS = 30 * 24 * 3600.0
"""How long they are kept: a host that was moved by mistake can be moved back."""
MAX_BYTES = 1024**3
SAFE_SECONDS = 24 * 3600.0
"""Nothing is removed for its size before this age."""
MAX_FILES = 100_000
"""How many files are counted below one path; a report must not take minutes."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A task of another installation that is over; age in seconds since its last change."""

    path: Path
    size_bytes: int
    age_seconds: float


def find_orphans(root: Path, installation: str, *, now: float) -> list[Orphan]:
    """Return what is over of other installations, the oldest first; now is seconds (UTC)."""
    if not installation or not root.is_dir():
        return []
    found = []
    for owner, _, directory in scan(root, file_system=FileSystem()):
        if owner == installation or not _is_over(directory):
            continue
        changed = max(path.lstat().st_mtime for path in (directory.path, *files(directory.path)))
        found.append(Orphan(directory.path, size_of(directory.path), now - changed))
    return sorted(found, key=lambda one: -one.age_seconds)


def _is_over(directory: TaskDirectory) -> bool:
    """Return whether nothing of a task can run any more: it ended, or never began.

    One that lost its sub-agent may have left processes behind, until the host was restarted.
    """
    finding = judge(directory)
    if finding is not Finding.LOST:
        return finding is not Finding.HELD
    claim = directory.claim() or Claim()
    return claim.abandoned or claim.boot_id not in ("", boot_id())


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
