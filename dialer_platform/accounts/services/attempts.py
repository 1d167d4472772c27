"""Limits guessing: ten failures per account or address in fifteen minutes, then a pause.

An attempt is counted before the password is looked at and forgiven when it was right, so
that a thousand parallel guesses get ten looks, not a thousand. The count lives in the
database: it holds for all server processes and over restarts.
"""

from __future__ import annotations

from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from dialer_platform.accounts.address import origin_of
from dialer_platform.accounts.models import LoginAttempts
from dialer_platform.storage import write_transaction

LIMIT = 10
WINDOW_SECONDS = 15 * 60
KEPT_SECONDS = 24 * 3600
NAME_CHARACTERS = 150


def keys_of(*, username: str, address: str) -> tuple[str, str]:
    """Return the two things that are counted for one attempt."""
    return f"account:{username.strip().lower()[:NAME_CHARACTERS]}", f"address:{origin_of(address)}"


def reserve(*, username: str, address: str) -> bool:
    """Count one attempt; False when account or address have used theirs up."""
    keys = keys_of(username=username, address=address)
    with write_transaction():
        rows = [_current(key) for key in keys]
        if any(row.count >= LIMIT for row in rows):
            return False
        for row in rows:
            row.count += 1
            row.save(update_fields=["count", "window_started_at"])
    return True


def forgive(*, username: str, address: str) -> None:
    """Take back an attempt that was right: the account starts anew, the address loses one."""
    account, origin = keys_of(username=username, address=address)
    with write_transaction():
        LoginAttempts.objects.filter(key=account).delete()
        LoginAttempts.objects.filter(key=origin, count__gt=0).update(count=F("count") - 1)


def forget_old() -> int:
    """Delete windows of former days; returns how many."""
    before = timezone.now() - timedelta(seconds=KEPT_SECONDS)
    with write_transaction():
        deleted, _ = LoginAttempts.objects.filter(window_started_at__lt=before).delete()
    return deleted


def _current(key: str) -> LoginAttempts:
    """Return the locked row of a key, begun anew when its window is over."""
    now = timezone.now()
    LoginAttempts.objects.get_or_create(key=key, defaults={"window_started_at": now})
    row = LoginAttempts.objects.select_for_update().get(key=key)
    if row.window_started_at < now - timedelta(seconds=WINDOW_SECONDS):
        row.window_started_at, row.count = now, 0
    return row
