"""Which database holds time series: rows that grow with time and are deleted by age.

On SQLite that is a file of its own, so that their writing and deleting never waits for,
or blocks, the queue's one writer. On PostgreSQL it is the same database.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import models

SERIES_APPS = frozenset({"probe_series", "plugin_series"})


class SeriesRouter:
    """Sends the apps of series to their database, and everything else to the other one."""

    def db_for_read(self, model: type[models.Model], **_hints: Any) -> str | None:
        """Return the database a model is read from; None leaves it to Django."""
        return settings.SERIES_DATABASE if model._meta.app_label in SERIES_APPS else None

    db_for_write = db_for_read

    def allow_relation(self, _one: models.Model, _other: models.Model, **_hints: Any) -> None:
        """Say nothing: series have no foreign keys."""
        return

    def allow_migrate(self, db: str, app_label: str, **_hints: Any) -> bool | None:
        """Return whether an app's tables belong into a database."""
        if settings.SERIES_DATABASE == "default":
            return None
        return (app_label in SERIES_APPS) == (db == settings.SERIES_DATABASE)
