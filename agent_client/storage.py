"""What the agent keeps on this host's disk: how much of each kind, and what bounds it.

Only looks. Every kind is bounded by its owner: the outbox by bytes and age, logs by their
files, versions by their number, the directory of a task by the server's confirmation, and
what a former installation left behind by `tasks.orphans`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from agent_client.config import AgentConfig, LoggingConfig
from agent_client.log_file import files_of
from agent_client.logger import fallback
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
    root = config.state_dir / TASKS
    orphans = {one.path for one in find_orphans(root, installation, now=0.0)}
    entries = _entries(root)
    trash = [path for path in entries if path.name.startswith(PREFIX)]
    tasks = [path for path in entries if path not in orphans and path not in trash]
    return [
        Kept("tasks", _size(tasks), "until the server has confirmed result and log"),
        Kept("orphans", _size(orphans), "30 days or 1 GiB; tasks of a former server"),
        Kept("trash", _size(trash), "removed within seconds"),
        Kept("outbox", size_of(config.state_dir / OUTBOX), "64 MiB, 24 hours"),
        Kept(
            "plugins", size_of(config.state_dir / PLUGINS), "3 versions and 256 MiB of state each"
        ),
        Kept("versions", size_of(config.state_dir / VERSIONS), f"the newest {KEEP_VERSIONS}"),
        Kept("logs", _log_bytes(config), _log_bound(config.logging)),
    ]


def _log_bytes(config: AgentConfig) -> int:
    """Return the bytes of the log's files where they are wanted, and where they are else.

    The directory may be shared, so only files of the log's name count.
    """
    ours = files_of(config.logging.log_name)
    places = {place.resolve() for place in (config.logging.directory, fallback(config.state_dir))}
    found = (path for place in places for path in _entries(place) if ours.fullmatch(path.name))
    return sum(map(_file_bytes, found))


def _file_bytes(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0  # it was removed meanwhile


def _log_bound(log: LoggingConfig) -> str:
    """Return what bounds the log, in words."""
    size = f" of {log.log_max_size:g} MB" if log.log_max_size else ""
    days = f", {log.log_max_age:g} days" if log.log_max_age else ""
    return (f"{log.log_max_files} older files" if log.log_max_files else "any number") + size + days


def _size(paths: Iterable[Path]) -> int:
    return sum(size_of(path) for path in paths)


def _entries(root: Path) -> list[Path]:
    """Return what lies directly in a directory, nothing when it cannot be read."""
    try:
        return list(root.iterdir())
    except OSError:
        return []
