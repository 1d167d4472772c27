"""One offering pass per tenant at a time, where several server processes share a database.

Two passes that read the bookings at once would give the same room away twice. SQLite has
one writer anyway; PostgreSQL gets an advisory lock, held to the end of the transaction.
A transaction that holds row locks must only try, never wait: so no two can wait for each
other.
"""

from __future__ import annotations

from django.db import connection

_PURPOSE = 0x6F66
"""Sets these locks apart from other advisory locks of the database."""


def try_lock(tenant_id: str) -> bool:
    """Take the tenant's lock if it is free; returns whether the pass may be made."""
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [_PURPOSE, tenant_id])
        return bool(cursor.fetchone()[0])


def wait_for_lock(tenant_id: str) -> None:
    """Take the tenant's lock, waiting for it; call it before anything else is locked."""
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_PURPOSE, tenant_id])
