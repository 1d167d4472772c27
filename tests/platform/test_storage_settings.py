"""The databases are as durable as is promised: read back from connections of the product."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import connections

pytestmark = pytest.mark.django_db(databases="__all__")

FULL = 2


@pytest.mark.parametrize("alias", sorted(settings.DATABASES))
def test_sqlite_syncs_every_commit_of_its_write_ahead_log(alias):
    connection = connections[alias]
    if connection.vendor != "sqlite":
        assert durable_in_postgresql(alias)
        return
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode")
        assert cursor.fetchone() == ("wal",)
        cursor.execute("PRAGMA synchronous")
        assert cursor.fetchone() == (FULL,)
        cursor.execute("PRAGMA foreign_keys")
        assert cursor.fetchone() == (1,)


def durable_in_postgresql(alias: str) -> bool:
    """Return whether a commit of the other database waits for its disk."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        return cursor.fetchone() == ("on",)
