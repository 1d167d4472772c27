"""What the agent keeps on this host's disk: how much of each kind, and what bounds it.

Only looks. Every kind is bounded by its owner: the outbox by bytes and age, logs by their
files, versions by their number, the directory of a task by the server's confirmation, and
what a former installation left behind by `tasks.orphans`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent_client.config import AgentConfig
from agent_client.tasks.orphans import find_orphans, size_of
from agent_client.tasks.trash import PREFIX
from agent_client.upgrade.installation import KEEP_VERSIONS
from agent_client.upgrade.versions import VERSIONS

TASKS = "tasks"
OUTBOX = "outbox"
PLUGINS = "plugins"


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of files: how many bytes lie there, and what bounds them in words."""

    name: str
    size_bytes: int
    bound: str


def report(config: AgentConfig, installation: str) -> list[Kept]:
    """Return what lies on the disk, kind by kind; installation is "" for a host without one."""
    root, log = config.state_dir / TASKS, config.logging
    orphans = {one.path for one in find_orphans(root, installation, now=0.0)}
    entries = _entries(root)
    trash = [path for path in entries if path.name.startswith(PREFIX)]
    tasks = [path for path in entries if path not in orphans and path not in trash]
    days = f", {log.log_max_age} days" if log.log_max_age else ""
    return [
        Kept("tasks", _size(tasks), "until the server has confirmed result and log"),
        Kept("orphans", _size(orphans), "30 days or 1 GiB; ended tasks of a former server"),
        Kept("trash", _size(trash), "removed within seconds"),
        Kept("outbox", size_of(config.state_dir / OUTBOX), "64 MiB, 24 hours"),
        Kept(
            "plugins", size_of(config.state_dir / PLUGINS), "3 versions and 256 MiB of state each"
        ),
        Kept("versions", size_of(config.state_dir / VERSIONS), f"the newest {KEEP_VERSIONS}"),
        Kept("logs", size_of(Path(log.log_dir)), f"{log.log_max_files} older files{days}"),
    ]


def _size(paths: Iterable[Path]) -> int:
    return sum(size_of(path) for path in paths)


def _entries(root: Path) -> list[Path]:
    """Return what lies directly in a directory, nothing when it cannot be read."""
    try:
        return list(root.iterdir())
    except OSError:
        return []
