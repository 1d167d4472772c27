"""What a task directory says after a restart: the one decision table of adoption.

Pure but for reading the directory. Starts and kills nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from pathlib import Path

from agent_client.sub_agent.records import FileSystem
from agent_client.tasks.taskdir import TaskDirectory, TaskKey, parse_name


class Finding(enum.Enum):
    """What is to be done with a task found on disk."""

    EMPTY = "never accepted: remove"
    ACCEPTED = "accepted, never ordered to start: wait for go"
    UNCLAIMED = "ordered to start, nobody took it: abandon, then lost"
    HELD = "its sub-agent lives: watch"
    LOST = "its sub-agent is gone without an end record"
    FINISHED = "has its end record"


def judge(directory: TaskDirectory) -> Finding:
    """Return what a directory's records mean."""
    if directory.spec() is None:
        return Finding.EMPTY
    # The lock is looked at before the end record: a sub-agent writes that one last.
    held = directory.claim_is_held()
    if directory.exit() is not None:
        return Finding.FINISHED
    if held:
        return Finding.HELD
    if directory.claim() is not None:
        # It may have ended between the two looks.
        return Finding.FINISHED if directory.exit() is not None else Finding.LOST
    return Finding.UNCLAIMED if directory.has_order() else Finding.ACCEPTED


def scan(root: Path, *, file_system: FileSystem) -> Iterator[tuple[str, TaskKey, TaskDirectory]]:
    """Yield installation, key and directory of every task under root, oldest id first."""
    found = []
    for path in root.iterdir():
        parsed = parse_name(path.name)
        if parsed is not None and path.is_dir():
            found.append((parsed[1], parsed[0], path))
    for key, installation, path in sorted(found):
        yield installation, key, TaskDirectory(path, file_system=file_system)
