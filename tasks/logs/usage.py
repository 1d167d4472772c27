"""What the logs of each tenant take, as housekeeping has measured it last.

The figure stands in a file of the data directory, which all server processes share: a sum
over all tasks is too much for every submission, and a few minutes late is early enough
for a disk. Logs of running tasks count when they have ended.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from django.conf import settings
from django.db.models import Sum

from dialer_platform.quotas import ensure_quota
from tasks.models import Task

FRESH_SECONDS = 2.0

_last: tuple[float, dict[str, int]] = (float("-inf"), {})


def measure() -> dict[str, int]:
    """Add up the log bytes of each tenant and write them down; a housekeeping job."""
    rows = Task.objects.filter(log_bytes__gt=0).order_by().values_list("tenant_id")
    found = dict(rows.annotate(total=Sum("log_bytes")))
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_suffix(f".{os.getpid()}.new")
    temporary.write_text(json.dumps(found), encoding="utf-8")
    temporary.replace(path)
    return found


def ensure_log_room(tenant_id: str) -> None:
    """Raise QuotaExceeded when the tenant's logs take what they may."""
    limit = settings.LOG_TENANT_MAX_BYTES
    setting = "DIALER_LOG_TENANT_MAX_BYTES"
    ensure_quota("log_bytes", _figures().get(tenant_id, 0), limit=limit, setting=setting)


def clear() -> None:
    """Read the figures anew; for tests."""
    global _last
    _last = (float("-inf"), {})


def _figures() -> dict[str, int]:
    """Return the bytes by tenant, at most two seconds old; empty while nothing was measured."""
    global _last
    read_at, figures = _last
    if time.monotonic() - read_at > FRESH_SECONDS:
        try:
            figures = json.loads(_path().read_text(encoding="utf-8"))
        except (OSError, ValueError):
            figures = {}
        _last = (time.monotonic(), figures)
    return figures


def _path() -> Path:
    """Return where the figures stand."""
    return Path(settings.DIALER_DATA_DIR) / "logs" / "usage.json"
