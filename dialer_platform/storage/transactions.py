"""The one way to write to the database: `with write_transaction():`.

SQLite has one writer. Its own busy handler is unfair (four competing writers waited up
to 4 s), so writers of this process queue here first, in order of arrival; transactions
are IMMEDIATE, so none fails half-way with "database is locked". On PostgreSQL it is a
plain transaction. Never do network or slow file work inside.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import OperationalError, connections, transaction


class FairLock:
    """A re-entrant lock that serves threads strictly in order of arrival."""

    def __init__(self) -> None:
        """Start free, with nobody waiting."""
        self._guard = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._owner: int | None = None
        self._depth = 0

    def acquire(self, wait_seconds: float = -1.0) -> bool:
        """Wait for all who came before; the owner enters again at once.

        False when that took longer than wait_seconds, which is for ever if negative.
        """
        me = threading.get_ident()
        with self._guard:
            if self._owner == me:
                self._depth += 1
                return True
            if self._owner is None:
                self._owner, self._depth = me, 1
                return True
            ticket = threading.Lock()
            ticket.acquire()
            self._waiting.append(ticket)
        if not ticket.acquire(timeout=wait_seconds):
            with self._guard:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                    return False
            # It was handed over at the last moment.
        # release() handed the lock over without freeing it, so nobody can barge in.
        with self._guard:
            self._owner, self._depth = me, 1
        return True

    def release(self) -> None:
        """Hand the lock to the next in line, or free it."""
        with self._guard:
            self._depth -= 1
            if self._depth:
                return
            if self._waiting:
                self._owner = -1
                self._waiting.popleft().release()
            else:
                self._owner = None


_locks: dict[str, FairLock] = {}
_locks_guard = threading.Lock()


@contextmanager
def write_transaction(using: str = "default", *, wait_seconds: float = -1.0) -> Iterator[None]:
    """Open one write transaction on the database alias; nests as a savepoint-free join.

    Raises OperationalError when the writers of this process in front take longer than
    wait_seconds; negative waits as long as it takes.
    """
    connection = connections[using]
    if connection.vendor != "sqlite" or connection.in_atomic_block:
        # A test case wraps everything in a transaction that is not ours: what fails inside
        # must roll back alone, as it does at the outermost level in production.
        outer = connection.atomic_blocks[-1:]
        is_joining = not any(getattr(block, "_from_testcase", False) for block in outer)
        with transaction.atomic(using=using, savepoint=not is_joining):
            yield
        return
    lock = _lock_for(using)
    if not lock.acquire(wait_seconds):
        raise OperationalError("another writer of this process does not end")
    try:
        with transaction.atomic(using=using):
            yield
    finally:
        lock.release()


def _lock_for(using: str) -> FairLock:
    """Return the lock of a database alias, made on first use."""
    with _locks_guard:
        return _locks.setdefault(using, FairLock())
