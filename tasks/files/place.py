"""The store of this server: the data directory's files, and whether there is room for more."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from tasks.files.store import FileStore
from tasks.logs.space import MIN_FREE_BYTES, DiskFull


def store() -> FileStore:
    """Return the store of the data directory."""
    return _store_in(Path(settings.FILES_DIR))


def ensure_room_for(size_bytes: int) -> None:
    """Raise DiskFull when so many more bytes would eat into the disk's reserve."""
    free = shutil.disk_usage(settings.FILES_DIR).free
    if free - size_bytes < MIN_FREE_BYTES:
        raise DiskFull(
            _("The server's disk has %(free)d MB free; the file needs %(size)d MB and a reserve.")
            % {"free": free // 1_000_000, "size": -(-size_bytes // 1_000_000)}
        )


@cache
def _store_in(root: Path) -> FileStore:
    """Return the one store of a directory; it keeps digests of what grows."""
    return FileStore(root)
