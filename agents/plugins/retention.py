"""Deletes what plug-ins measured long ago, and the oldest when there is too much of it.

A few rows at a time, so that the writer of samples never waits for long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db.models import Count

from agents.plugins import store
from agents.plugins.series.models import PluginLine, PluginSpan
from agents.plugins.shares import shares
from agents.plugins.spans import LEVELS, MINUTE
from dialer_platform.storage import write_transaction

ROWS_AT_ONCE = 5_000
MAX_CHUNKS = 40
DAY_SECONDS = 86_400
MINUTES_KEPT_SECONDS = 2 * DAY_SECONDS
"""Charts of more than an hour are drawn from quarters."""
MAX_HOSTS_A_TURN = 200
MAX_GIVING_HOSTS_A_TURN = 1_000
MAX_ROWS_PER_HOST = 100_000
"""What seventeen plug-ins come to in the usual time; the built-in ones need 29,000."""


def trim() -> int:
    """Delete old rows and return how many; a housekeeping job."""
    now = time.time()
    deleted = 0
    for level in LEVELS:
        deleted += _repeat(partial(_delete_spans, level, int(now - kept_seconds(level))))
    for agent_id, surplus in _surpluses()[:MAX_GIVING_HOSTS_A_TURN]:
        deleted += _delete_surplus(agent_id, surplus)
    deleted += _repeat(partial(_delete_lines, now - kept_seconds(None)))
    return deleted + _trim_hosts()


def kept_seconds(level: int | None) -> float:
    """Return how long spans of a level are kept; None asks for lines."""
    days = float(settings.PLUGIN_SAMPLES_KEPT_DAYS * DAY_SECONDS)
    return min(days, MINUTES_KEPT_SECONDS) if level == MINUTE else days


def _repeat(delete: Callable[[], int]) -> int:
    """Delete chunk after chunk until one finds nothing, or it is enough for one turn."""
    total = 0
    for _ in range(MAX_CHUNKS):
        count = delete()
        total += count
        if not count:
            break
    return total


def _delete_spans(level: int, before: int) -> int:
    """Delete a chunk of one level's old spans."""
    with write_transaction(settings.SERIES_DATABASE):
        old = PluginSpan.objects.filter(level=level, start__lt=before).order_by("start")
        ids = list(old.values_list("id", flat=True)[:ROWS_AT_ONCE])
        found = PluginSpan.objects.filter(id__in=ids)
        return int(found._raw_delete(found.db)) if ids else 0


def _delete_surplus(agent_id: str, surplus: int) -> int:
    """Delete so many of a host's oldest spans, at most those of one turn, and return how many."""
    # Minutes go first: the quarters say the same over a longer time in fewer rows.
    oldest = PluginSpan.objects.filter(agent_id=agent_id).order_by("level", "start")
    ids = list(oldest.values_list("id", flat=True)[: min(surplus, ROWS_AT_ONCE * MAX_CHUNKS)])
    total = 0
    for start in range(0, len(ids), ROWS_AT_ONCE):
        with write_transaction(settings.SERIES_DATABASE):
            found = PluginSpan.objects.filter(id__in=ids[start : start + ROWS_AT_ONCE])
            total += int(found._raw_delete(found.db))
    return total


def _surpluses() -> list[tuple[str, int]]:
    """Return hosts and how many of their spans are too many, the largest surplus first.

    A host may have so many of its own, and all together the setting's: who has most gives
    first, and a host with few loses nothing to one with many.
    """
    rows = PluginSpan.objects.order_by().values_list("agent_id").annotate(number=Count("id"))
    counts: dict[str, int] = dict(rows)
    kept = shares(counts, settings.PLUGIN_SAMPLES_MAX_ROWS)
    over = [(name, counts[name] - min(kept[name], MAX_ROWS_PER_HOST)) for name in counts]
    return sorted((one for one in over if one[1] > 0), key=lambda one: -one[1])


def _delete_lines(before: float) -> int:
    """Delete a chunk of old lines; by id, which is the order of arrival."""
    with write_transaction(settings.SERIES_DATABASE):
        rows = list(PluginLine.objects.order_by("id").values_list("id", "at")[:ROWS_AT_ONCE])
        ids = [key for key, at in rows if at < before]
        if not ids:
            return 0
        gone = PluginLine.objects.filter(id__lte=ids[-1], at__lt=before)
        return int(gone._raw_delete(gone.db))


def _trim_hosts() -> int:
    """Keep the newest lines only of some hosts, those that the writer did not come to."""
    # Taken before the transaction: the writer holds its own lock first, then the database's.
    names = store.take_untrimmed(MAX_HOSTS_A_TURN)
    with write_transaction(settings.SERIES_DATABASE):
        return sum(store.trim_lines(name) for name in names)
