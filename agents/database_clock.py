"""The database's clock: the one time by which hosts of all server processes are judged."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.db import connection
from django.utils import timezone

TOLERANCE = timedelta(seconds=5)
"""A stamp further ahead than this was made before the clock was set back: it says nothing."""


def now() -> datetime:
    """Return the database's time; SQLite has no other clock than this machine's."""
    if connection.vendor == "sqlite":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (value,) = cursor.fetchone()
    moment: datetime = value
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
