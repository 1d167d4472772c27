"""Which process does the periodic work: the one whose lease row is fresh.

Promises that at most one live process holds the role and that another one takes over
within LEASE_SECONDS when it dies. All ages are judged by the database's clock, so hosts
with different clocks agree.
"""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta

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


def acquire(holder: str) -> bool:
    """Take or renew the lease; False while another process holds it."""
    age = timedelta(seconds=LEASE_SECONDS)
    with write_transaction():
        Lease.objects.get_or_create(
            name=ROLE, defaults={"holder": holder, "renewed_at": timezone.now()}
        )
        rows = Lease.objects.filter(name=ROLE)
        mine = rows.filter(holder=holder)
        stale = rows.filter(renewed_at__lt=Now() - age)
        return bool(mine.update(renewed_at=Now())) or bool(
            stale.update(holder=holder, renewed_at=Now())
        )


def release(holder: str) -> None:
    """Give the lease up, so that another process need not wait for it to age."""
    with write_transaction():
        Lease.objects.filter(name=ROLE, holder=holder).delete()


def is_fresh() -> bool:
    """Tell whether some process renewed the lease lately, i.e. periodic work is being done."""
    age = timedelta(seconds=FRESH_SECONDS)
    return Lease.objects.filter(name=ROLE, renewed_at__gte=Now() - age).exists()
