"""How many unfinished tasks a tenant has, and whether it may submit more.

Counting costs a walk over an index, so a submission adds to the last count and counts
anew only now and then: every ten seconds, or every second where the limit seems reached.
What other server processes accept in between is seen with the next count.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from django.conf import settings

from dialer_platform.quotas import ensure_quota
from tasks.choices import FINAL, Status
from tasks.logs import usage
from tasks.models import Task

COUNT_SECONDS = 10.0
COUNT_FULL_SECONDS = 1.0
UNFINISHED = tuple(status for status in Status if status not in FINAL)


@dataclass(slots=True)
class _Count:
    """The unfinished tasks of one tenant at a moment (monotonic seconds)."""

    at: float
    number: int


_guard = threading.Lock()
_counts: dict[str, _Count] = {}


def ensure_tasks(tenant_id: str, more: int) -> None:
    """Raise QuotaExceeded when the tenant may not submit so many more tasks."""
    usage.ensure_log_room(tenant_id)
    limit = settings.MAX_UNFINISHED_TASKS_PER_TENANT
    if not limit:
        return
    count = _count(tenant_id, COUNT_SECONDS)
    if count.number + more > limit:
        count = _count(tenant_id, COUNT_FULL_SECONDS)
    setting = "DIALER_MAX_UNFINISHED_TASKS_PER_TENANT"
    ensure_quota("unfinished_tasks", count.number, more=more, limit=limit, setting=setting)
    with _guard:
        count.number += more


def _count(tenant_id: str, max_age_seconds: float) -> _Count:
    """Return the last count, or a new one when that is too old."""
    with _guard:
        known = _counts.get(tenant_id)
    if known and time.monotonic() - known.at < max_age_seconds:
        return known
    unfinished = Task.objects.of_tenant(tenant_id).filter(status__in=UNFINISHED)
    fresh = _Count(time.monotonic(), unfinished.count())
    with _guard:
        _counts[tenant_id] = fresh
    return fresh


def clear() -> None:
    """Forget all counts; for tests."""
    with _guard:
        _counts.clear()
