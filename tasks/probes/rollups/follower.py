"""Adds new results to the roll-ups, each exactly once, whatever crashes when.

The log only grows and its ids become visible in order, so one number says what was added:
it is committed with the sums themselves. Runs where housekeeping runs.
"""

from __future__ import annotations

import time

from django.conf import settings

from dialer_platform.storage import write_transaction
from tasks.probes import windows
from tasks.probes.rollups.store import add_stored
from tasks.probes.rollups.sums import Run, add_up
from tasks.probes.series.models import ProbeResult, SeriesCursor

NAME = "rollups"
RESULTS_AT_ONCE = 5_000
BUDGET_SECONDS = 0.5
"""A follower far behind lets the other jobs have their turn in between."""


def follow() -> int:
    """Add what is new and return how many results that were; a housekeeping job."""
    total = 0
    until = time.monotonic() + BUDGET_SECONDS
    while True:
        added = add_next()
        total += added
        if added < RESULTS_AT_ONCE or time.monotonic() > until:
            return total


def add_next(limit: int = RESULTS_AT_ONCE) -> int:
    """Add the next results in one transaction and return how many."""
    if not _has_news():
        return 0
    cover = windows.read_cover()
    with write_transaction(settings.SERIES_DATABASE):
        SeriesCursor.objects.get_or_create(name=NAME)
        # Locked: after a lost lease two processes may follow for a moment.
        cursor = SeriesCursor.objects.select_for_update().get(name=NAME)
        rows = list(
            ProbeResult.objects.filter(id__gt=cursor.last_id)
            .order_by("id")
            .values_list(
                "id", "probe_id", "agent_id", "started_us", "outcome", "count", "duration_us"
            )[:limit]
        )
        if not rows:
            return 0
        add_stored(
            add_up(
                Run(*row[1:], is_maintenance=cover.covers(row[1], row[3] / 1_000_000))
                for row in rows
            )
        )
        cursor.last_id = rows[-1][0]
        cursor.save(update_fields=["last_id"])
    return len(rows)


def _has_news() -> bool:
    """Return whether there may be results to add; spares an idle server the transaction."""
    last_id = SeriesCursor.objects.filter(name=NAME).values_list("last_id", flat=True).first()
    return last_id is None or ProbeResult.objects.filter(id__gt=last_id).exists()
