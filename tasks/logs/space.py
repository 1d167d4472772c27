"""Room on the disk of the data directory: new tasks are refused before it is full."""

from __future__ import annotations

import shutil
import time

from django.conf import settings
from django.utils.translation import gettext as _

from dialer_platform.storage.free_space import DiskFull

MIN_FREE_BYTES = 256 * 1024 * 1024
FRESH_SECONDS = 2.0

_last = (float("-inf"), True)


def ensure_room() -> None:
    """Raise DiskFull when the data directory's disk is below its reserve."""
    global _last
    checked_at, has_room = _last
    if time.monotonic() - checked_at > FRESH_SECONDS:
        has_room = shutil.disk_usage(settings.DIALER_DATA_DIR).free >= MIN_FREE_BYTES
        _last = (time.monotonic(), has_room)
    if not has_room:
        raise DiskFull(_("The server's disk is nearly full; no new task is accepted."))
