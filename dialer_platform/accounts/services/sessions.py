"""Removes the sessions of browsers that never came back."""

from __future__ import annotations

from django.contrib.sessions.models import Session
from django.utils import timezone

from dialer_platform.storage import write_transaction


def forget_expired() -> int:
    """Delete expired sessions; returns how many."""
    with write_transaction():
        deleted, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    return deleted
