"""How much a plug-in may keep on this host's disk: looked at now and then, by the agent.

What it keeps is its own and not known to anybody else, so nothing of it is removed: one
that keeps too much is stopped until it keeps less.
"""

from __future__ import annotations

import os
from pathlib import Path

from agent_client.errors import AgentError

MAX_STATE_BYTES = 256 * 1024**2
MAX_STATE_FILES = 10_000
LOOK_SECONDS = 30.0
STOPPED_LOOK_SECONDS = 60.0
"""How soon a plug-in that was stopped goes on after somebody has made room."""


class StateFull(AgentError):
    """The plug-in keeps more than it may in a directory."""

    default_code = "plugin_state_full"

    def __init__(self, directory: Path, size_bytes: int, count: int) -> None:
        """Say how much was found; there may be more."""
        super().__init__(
            f"it keeps {size_bytes // 1024**2} MiB in {count:,} files or more in {directory};"
            f" {MAX_STATE_BYTES // 1024**2} MiB and {MAX_STATE_FILES:,} files are allowed"
        )
        self.directory = directory


def check_room(directory: Path) -> None:
    """Raise StateFull when there is more below a plug-in's own directory than there may be."""
    size_bytes = count = 0
    # Links are not followed: what they lead to is not the plug-in's.
    for place, directories, names in os.walk(directory):
        count += len(directories) + len(names)
        size_bytes += sum(_size_of(Path(place, name)) for name in names)
        if count > MAX_STATE_FILES or size_bytes > MAX_STATE_BYTES:
            raise StateFull(directory, size_bytes, count)


def _size_of(file: Path) -> int:
    """Return what a file takes on the disk; holes in it take nothing."""
    try:
        return file.lstat().st_blocks * 512
    except OSError:
        return 0  # it was removed meanwhile
