"""Which installation this is: a short id that changes when the database is made anew.

Task ids recur after a database is reset; agents keep what they hold under this id and
the task's, so that a task of an earlier database is never taken for one of this.
"""

from __future__ import annotations

import hashlib
import threading

_ID_CHARACTERS = 10
_DEFAULT_TENANT_ID = "default"
_guard = threading.Lock()
_cached = ""


def installation_id() -> str:
    """Return the id, read once per process.

    It is derived from the moment the first migration made the default tenant: a row that
    every database has, none shares, and a copy or a restore keeps.
    """
    global _cached
    if not _cached:
        with _guard:
            _cached = _cached or _read()
    return _cached


def forget() -> None:
    """Read the id again at the next call: the database was replaced."""
    global _cached
    _cached = ""


def _read() -> str:
    """Return the id of the connected database."""
    from dialer_platform.accounts.models import Tenant

    created_at = Tenant.objects.values_list("created_at", flat=True).get(id=_DEFAULT_TENANT_ID)
    return hashlib.sha256(created_at.isoformat().encode("ascii")).hexdigest()[:_ID_CHARACTERS]
