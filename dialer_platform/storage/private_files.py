"""Keeps the database files to their owner, whatever the umask and the directory's rights are.

SQLite makes a file with the rights of the umask, and gives its write-ahead log those of the
file: so the file is looked at whenever a connection opens, and the log follows.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_OTHERS = 0o077
_SUFFIXES = ("", "-wal", "-shm")


def connect() -> None:
    """Look at every new connection from now on."""
    connection_created.connect(close_to_others, dispatch_uid="private database files")


def close_to_others(connection: BaseDatabaseWrapper, **_more: Any) -> None:
    """Take the rights of others away from the files of a SQLite database."""
    name = str(connection.settings_dict["NAME"])
    if connection.vendor != "sqlite" or ":memory:" in name or "mode=memory" in name:
        return
    for suffix in _SUFFIXES:
        path = Path(name + suffix)
        # The last connection to close takes the log with it, at any moment.
        with suppress(FileNotFoundError, PermissionError):
            mode = path.stat().st_mode
            if mode & _OTHERS:
                path.chmod(mode & 0o7777 & ~_OTHERS)
