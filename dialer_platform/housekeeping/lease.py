"""Which process does the periodic work: the one that renews the lease row.

Promises that at most one live process holds the role and that another one takes over
within LEASE_SECONDS when it dies. Who waits for the lease measures on its own monotonic
clock how long the row stays the same, so that no clock that is set gives it away or keeps
it for years. Only what was before its first look is taken from the stamp.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models.functions import Now
from django.utils import timezone

from dialer_platform.models import Lease
from dialer_platform.storage import write_transaction

ROLE = "housekeeping"
LEASE_SECONDS = 30.0
FRESH_SECONDS = 60.0


def new_holder_name() -> str:
    """Return a name no other process has: host, pid and a random part."""
    return f"{socket.gethostname()[:100]}:{os.getpid()}:{secrets.token_hex(4)}"


class LeaseWatch:
    """What a process that waits for the lease has seen of its renewals; pure."""

    def __init__(self) -> None:
        """Start without having looked."""
        self._seen: tuple[str, datetime] | None = None
        self._since = 0.0

    def is_abandoned(
        self, holder: str, renewed_at: datetime, *, now: datetime, tick: float
    ) -> bool:
        """Note a renewal; return whether the lease has stayed as it is for LEASE_SECONDS.

        now is the clock that dated the renewal, tick monotonic seconds.
        """
        renewal = (holder, renewed_at)
        if renewal != self._seen:
            # At the first look the stamp is all there is: a dead holder is not waited for anew.
            age_seconds = 0.0 if self._seen else (now - renewed_at).total_seconds()
            self._since = tick - min(max(0.0, age_seconds), LEASE_SECONDS)
            self._seen = renewal
        return tick - self._since >= LEASE_SECONDS


class HousekeepingLease:
    """One process's claim to the role."""

    def __init__(self, holder: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Wait under a name that no other process has; the clock is monotonic seconds."""
        self.holder = holder
        self._clock = clock
        self._watch = LeaseWatch()

    def acquire(self) -> bool:
        """Take or renew the lease; False while another process holds it."""
        with write_transaction():
            rows = Lease.objects.filter(name=ROLE)
            row = rows.select_for_update().annotate(now=Now()).first()
            if row is None:
                _, is_mine = Lease.objects.get_or_create(
                    name=ROLE, defaults={"holder": self.holder, "renewed_at": timezone.now()}
                )
                return is_mine
            if row.holder != self.holder and not self._watch.is_abandoned(
                row.holder, row.renewed_at, now=row.now, tick=self._clock()
            ):
                return False
            rows.update(holder=self.holder, renewed_at=Now())
        return True

    def release(self) -> None:
        """Give the lease up, so that another process need not wait for it to age."""
        with write_transaction():
            Lease.objects.filter(name=ROLE, holder=self.holder).delete()


def is_fresh() -> bool:
    """Tell whether some process renewed the lease lately, i.e. periodic work is being done.

    A renewal from the future is none; after a step of the clock the next one is 8 s away.
    """
    age = timedelta(seconds=FRESH_SECONDS)
    return Lease.objects.filter(
        name=ROLE, renewed_at__gte=Now() - age, renewed_at__lte=Now() + age
    ).exists()
