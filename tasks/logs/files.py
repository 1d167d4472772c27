"""The logs of this installation: one store for writing, a reader per task."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings

from tasks.logs.reading import LogReader
from tasks.logs.store import LogStore


def store() -> LogStore:
    """Return the store of this process."""
    return _store_at(settings.TASK_LOG_DIR)


def reader(task_id: int) -> LogReader:
    """Return a reader of one task's log."""
    return LogReader(Path(settings.TASK_LOG_DIR) / str(int(task_id)))


@cache
def _store_at(directory: Path) -> LogStore:
    """Return the one store of a directory."""
    return LogStore(directory)
