"""Adds new results to the roll-ups, each exactly once, whatever crashes when.

The log only grows and its ids become visible in order, so one number says what was added:
it is committed with the sums themselves. Runs where housekeeping runs.
"""

from __future__ import annotations

import time

from django.conf import settings

from dialer_platform.storage import write_transaction
from tasks.probes import windows
from tasks.probes.rollups.store import with_stored, write
from tasks.probes.rollups.sums import US, Run, add_up
from tasks.probes.series.models import ProbeResult, SeriesCursor

NAME = "rollups"
RESULTS_AT_ONCE = 20_000
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
    """Add the next results and return how many.

    Adding up happens before the transaction, so that whoever stores results waits for the
    writing only. Two followers cannot both add: the cursor moves from where it was read.
    """
    cursor, _ = SeriesCursor.objects.get_or_create(name=NAME)
    rows = list(
        ProbeResult.objects.filter(id__gt=cursor.last_id)
        .order_by("id")
        .values_list("id", "probe_id", "agent_id", "started_us", "outcome", "count", "duration_us")[
            :limit
        ]
    )
    if not rows:
        return 0
    cover = windows.read_cover()
    runs = (Run(*row[1:], is_maintenance=cover.covers(row[1], row[3] / US)) for row in rows)
    sums = with_stored(add_up(runs))
    with write_transaction(settings.SERIES_DATABASE):
        unmoved = SeriesCursor.objects.filter(name=NAME, last_id=cursor.last_id)
        if not unmoved.update(last_id=rows[-1][0]):
            return 0  # After a lost lease another process was faster: its sums count.
        write(sums)
    return len(rows)
