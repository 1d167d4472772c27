"""Room on the disk of the data directory: what is large asks before it is written."""

from __future__ import annotations

import shutil
from pathlib import Path

from django.conf import settings
from django.utils.translation import gettext as _

from dialer_platform.errors import Unavailable

MIN_FREE_BYTES = 1024**3
"""What files leave free: four times what new tasks need, so that files never stop those."""


class DiskFull(Unavailable):
    """The server's disk is nearly full; what runs goes on, what is new must wait."""

    code = "disk_full"


def ensure_room_for(size_bytes: int, *, directory: Path | None = None) -> None:
    """Raise DiskFull when so many more bytes would eat into the disk's reserve.

    Without a directory it is about the disk of the data directory.
    """
    free = shutil.disk_usage(directory or settings.DIALER_DATA_DIR).free
    if free - size_bytes < MIN_FREE_BYTES:
        raise DiskFull(
            _("The server's disk has %(free)d MB free; the file needs %(size)d MB and a reserve.")
            % {"free": free // 1_000_000, "size": -(-size_bytes // 1_000_000)}
        )
