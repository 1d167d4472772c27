"""Deletes what is too old, a few rows at a time, so that writers never wait for long."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial

from django.conf import settings

from dialer_platform.storage import write_transaction
from tasks.probes.models import FollowCursor
from tasks.probes.rollups.sums import DAY, HOUR, MINUTE
from tasks.probes.series.models import ProbeResult, RollUp, SeriesCursor, StreamPosition

ROWS_AT_ONCE = 5_000
MAX_CHUNKS = 40
US = 1_000_000
DAY_SECONDS = 86_400
KEPT_DAYS = {MINUTE: 7, HOUR: 90, DAY: 3 * 366}
"""How long each level of roll-ups is kept."""
STREAM_DAYS = 30
"""An agent's outbox forgets within a day; a stream silent for so long never comes back."""


def trim() -> int:
    """Delete old rows and return how many; a housekeeping job."""
    now = time.time()
    deleted = _repeat(partial(_trim_results, now))
    for level, days in KEPT_DAYS.items():
        before = int(now - days * DAY_SECONDS)
        deleted += _repeat(partial(_trim_roll_ups, level, before))
    with write_transaction(settings.SERIES_DATABASE):
        silent = int((now - STREAM_DAYS * DAY_SECONDS) * US)
        deleted += StreamPosition.objects.filter(updated_us__lt=silent).delete()[0]
    return deleted


def _repeat(delete: Callable[[], int]) -> int:
    """Delete chunk after chunk until one finds nothing, or it is enough for one turn."""
    total = 0
    for _ in range(MAX_CHUNKS):
        count = delete()
        total += count
        if not count:
            break
    return total


def _trim_results(now: float) -> int:
    """Delete a chunk of the oldest results, if they are old and every follower has seen them.

    By id: that is the order of arrival, so the chunk is found without an index on age.
    """
    before_us = int((now - settings.RESULTS_KEPT_DAYS * DAY_SECONDS) * US)
    seen = min(
        _last_id(SeriesCursor.objects.values_list("last_id", flat=True)),
        _last_id(FollowCursor.objects.values_list("last_id", flat=True)),
    )
    with write_transaction(settings.SERIES_DATABASE):
        oldest = ProbeResult.objects.filter(id__lte=seen).order_by("id")
        rows = list(oldest.values_list("id", "started_us")[:ROWS_AT_ONCE])
        ids = [key for key, started_us in rows if started_us < before_us]
        if not ids:
            return 0
        found = ProbeResult.objects.filter(id__lte=ids[-1], started_us__lt=before_us)
        return int(found._raw_delete(found.db))


def _trim_roll_ups(level: int, before: int) -> int:
    """Delete a chunk of one level's old roll-ups."""
    with write_transaction(settings.SERIES_DATABASE):
        old = RollUp.objects.filter(level=level, start__lt=before).order_by("start")
        ids = list(old.values_list("id", flat=True)[:ROWS_AT_ONCE])
        if not ids:
            return 0
        found = RollUp.objects.filter(id__in=ids)
        return int(found._raw_delete(found.db))


def _last_id(ids: Iterable[int]) -> int:
    """Return the smallest of the followers' positions; nothing was seen without one."""
    return min(list(ids), default=0)
