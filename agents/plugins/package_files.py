"""The files of packages: `<data>/plugins/<sha256>.tar.gz`, equal ones of all tenants once.

Promises: a file has its name only when it is whole and on the disk. A file is put, and
one that no tenant has any more deleted, inside of a write transaction, so that neither
undoes the other. A crash leaves at most a draft or a file without a row, which `sweep`
deletes when it is a day old.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from django.conf import settings

from agents.plugins.models import PluginPackage
from dialer_platform.storage import write_transaction
from dialer_platform.storage.free_space import ensure_room_for

SUFFIX = ".tar.gz"
DRAFT_SUFFIX = ".draft"
STRAY_SECONDS = 24 * 3600
"""How old a file without a row is before it is deleted: no upload takes as long."""
SWEPT_AT_ONCE = 1_000


def path_of(sha256: str) -> Path:
    """Return where a package's file is; only digests of our own making come here."""
    return _folder() / f"{sha256}{SUFFIX}"


@contextmanager
def draft_of(sha256: str, data: bytes) -> Iterator[Path]:
    """Yield a package's bytes, flushed to the disk, for `put`; whatever is not put is deleted.

    Raises DiskFull. An upload of the same bytes at the same moment has a draft of its own.
    """
    ensure_room_for(len(data))
    _folder().mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(DRAFT_SUFFIX, f"{sha256}.", _folder())  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def put(draft: Path, sha256: str) -> None:
    """Give a draft its name, durably; an equal file may be there, of any tenant."""
    draft.replace(path_of(sha256))
    descriptor = os.open(_folder(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def delete_unused(sha256: str) -> bool:
    """Delete a file that no tenant has any more; returns whether there was one to delete."""
    with write_transaction():
        is_stray = not PluginPackage.objects.filter(sha256=sha256).exists()
        if is_stray:
            path_of(sha256).unlink(missing_ok=True)
    return is_stray


def sweep() -> int:
    """Delete old drafts and old files without a row; returns how many. Housekeeping."""
    old = list(islice(_old_files(time.time() - STRAY_SECONDS), SWEPT_AT_ONCE))
    drafts = [path for path in old if path.name.endswith(DRAFT_SUFFIX)]
    for path in drafts:
        path.unlink(missing_ok=True)
    digests = {path.name.removesuffix(SUFFIX) for path in old if path.name.endswith(SUFFIX)}
    known = PluginPackage.objects.filter(sha256__in=digests).values_list("sha256", flat=True)
    return len(drafts) + sum(delete_unused(sha256) for sha256 in digests - set(known))


def _old_files(before: float) -> Iterator[Path]:
    """Yield what was last written before a moment (seconds since the epoch)."""
    for path in _folder().glob("*"):
        try:
            is_old = path.is_file() and path.stat().st_mtime < before
        except FileNotFoundError:
            continue  # deleted while we looked
        if is_old:
            yield path


def _folder() -> Path:
    """Return the directory of all packages."""
    return Path(settings.DIALER_DATA_DIR) / "plugins"
