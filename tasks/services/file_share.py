"""How much of the server's disk the files of one tenant may take, so that none fills it for all.

A file that a person sends counts with its announced size from the beginning, one from a
host with what has arrived of it. Both limits are checked exactly where a row is made; while
hosts send, the figure is up to a few seconds old, so that a chunk costs no query: a tenant
may exceed its share by what its hosts send in that time. The reserve of the disk still holds.
"""

from __future__ import annotations

import threading
import time
from typing import NamedTuple

from django.conf import settings
from django.db.models import Count, Sum
from django.utils.translation import gettext as _

from dialer_platform.errors import TooLarge
from tasks.files.place import store
from tasks.models import StoredFile

MAX_FILES_PER_TENANT = 10_000
FRESH_SECONDS = 2.0
MAX_REMEMBERED = 1_024


class _Usage(NamedTuple):
    """The bytes of one tenant: of files whose size is known, and of those that arrive."""

    announced: int
    arrived: int


_guard = threading.Lock()
_known: dict[str, tuple[float, _Usage]] = {}


def ensure_share(tenant_id: str, *, files: int, size_bytes: int = 0) -> None:
    """Raise TooLarge when so many more files do not fit; the caller has the transaction."""
    announced, count = _announced(tenant_id)
    if count + files > MAX_FILES_PER_TENANT:
        sentence = _("At most %(limit)d files are kept for a tenant; delete some first.")
        raise TooLarge(sentence % {"limit": MAX_FILES_PER_TENANT})
    ensure_bytes(announced + _remembered(tenant_id).arrived + size_bytes)


def ensure_bytes(used_bytes: int) -> None:
    """Raise TooLarge for more bytes than the files of one tenant may have together."""
    limit = settings.FILE_TENANT_MAX_BYTES
    if used_bytes > limit:
        sentence = _("The files of a tenant may have at most %(limit)d bytes; delete some first.")
        raise TooLarge(sentence % {"limit": limit})


def used_bytes(tenant_id: str) -> int:
    """Return what the files of a tenant took a moment ago."""
    return sum(_remembered(tenant_id))


def forget() -> None:
    """Count anew for every tenant."""
    with _guard:
        _known.clear()


def _remembered(tenant_id: str) -> _Usage:
    """Return the usage of a tenant, counted every few seconds."""
    with _guard:
        entry = _known.get(tenant_id)
    if entry is not None and entry[0] > time.monotonic():
        return entry[1]
    usage = _Usage(_announced(tenant_id)[0], _arrived(tenant_id))
    with _guard:
        if len(_known) >= MAX_REMEMBERED:
            _known.clear()
        _known[tenant_id] = (time.monotonic() + FRESH_SECONDS, usage)
    return usage


def _announced(tenant_id: str) -> tuple[int, int]:
    """Return the bytes of the files whose size is known, and how many files there are at all."""
    files = StoredFile.objects.filter(tenant_id=tenant_id)
    found = files.aggregate(size=Sum("size_bytes"), count=Count("pk"))
    # PostgreSQL adds large whole numbers up to a decimal.
    return int(found["size"] or 0), found["count"]


def _arrived(tenant_id: str) -> int:
    """Return the bytes on disk of the files whose size only their end will tell."""
    files = StoredFile.objects.filter(tenant_id=tenant_id, size_bytes=None)
    ids = files.values_list("pk", flat=True)[:MAX_FILES_PER_TENANT]
    return sum(store().received(file_id) for file_id in ids)
