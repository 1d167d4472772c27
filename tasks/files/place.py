"""The store of this server: the data directory's files, and whether there is room for more."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from django.conf import settings

from dialer_platform.storage import free_space
from tasks.files.store import FileStore


def store() -> FileStore:
    """Return the store of the data directory."""
    return _store_in(Path(settings.FILES_DIR))


def ensure_room_for(size_bytes: int) -> None:
    """Raise DiskFull when so many more bytes would eat into the disk's reserve."""
    free_space.ensure_room_for(size_bytes, directory=Path(settings.FILES_DIR))


@cache
def _store_in(root: Path) -> FileStore:
    """Return the one store of a directory; it keeps digests of what grows."""
    return FileStore(root)
