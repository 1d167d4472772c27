"""Samples on their way into the series: gathered in memory, written every few seconds.

One transaction for all hosts: a thousand of them send two hundred requests a second.
A crash of the server loses the last seconds of what was measured, as of live figures.
Memory is bounded, a row is, and nothing is written onto a disk that is nearly full; what
finds no room is counted or stays with its agent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connections
from django.db.models import QuerySet

from agent_client.protocol.plugins import PluginSample
from agents.plugins.series.models import PluginLine, PluginSpan
from agents.plugins.spans import LEVELS, Span, SpanKey, decode, encode
from agents.plugins.waiting import Line, Waiting
from dialer_platform.storage import write_transaction
from dialer_platform.storage.free_space import DiskFull, ensure_room_for

log = logging.getLogger("dialer.agents.plugins")

FLUSH_SECONDS = 3.0
MAX_FLUSH_SECONDS = 30.0
MAX_ROW_BYTES = 32 * 1024
"""Of one span: two hundred metrics with names of usual length."""
KEEP_LINES_PER_AGENT = 5_000
TRIM_AFTER_LINES = 500
"""So many new lines of a host are worth a look for old ones; it has at most as many more."""
ROWS_AT_ONCE = 200
ROOM_BYTES = 64 * 1024**2
"""More than one write takes."""
MAX_NEWEST = 2_000
"""Plug-ins whose newest values are kept for /metrics."""


class Newest(NamedTuple):
    """The newest values of one plug-in on one host."""

    tenant_id: str
    at: float
    metrics: Mapping[str, float]


_guard = threading.Lock()
_flushing = threading.Lock()
_newest: dict[tuple[str, str], Newest] = {}
_untrimmed: Counter[str] = Counter()
dropped: Counter[str] = Counter()
"""What found no room since the start of the process: metrics and lines."""
waiting = Waiting(dropped)

_stopping = threading.Event()
_thread: threading.Thread | None = None


def add(agent_id: str, samples: Sequence[PluginSample], *, tenant_id: str) -> None:
    """Take checked samples of one host; never waits for the database."""
    waiting.add(agent_id, samples)
    with _guard:
        for sample in samples:
            _note_newest((agent_id, sample.plugin), sample, tenant_id)


def flush() -> int:
    """Write what was gathered and return how many rows; raises DatabaseError, DiskFull."""
    with _flushing:  # two flushes of one span at once would lose one's figures
        # Before it is taken: what waits is bounded, and its agents keep the rest.
        _ensure_room()
        spans, lines = waiting.take()
        try:
            _write(spans, lines)
        except DatabaseError:
            waiting.give_back(spans, lines)
            raise
    return len(spans) + len(lines)


def newest() -> dict[tuple[str, str], Newest]:
    """Return the newest values by host and plug-in that came to this process."""
    with _guard:
        return dict(_newest)


def forget(agent_id: str, plugin: str) -> None:
    """Drop the newest values of a plug-in that is gone."""
    with _guard:
        _newest.pop((agent_id, plugin), None)


def take_untrimmed(limit: int) -> list[str]:
    """Return hosts that wrote lines since they were last trimmed, and forget them."""
    with _flushing:
        names = list(_untrimmed)[:limit]
        for name in names:
            del _untrimmed[name]
    return names


def start() -> None:
    """Start the thread that writes."""
    global _thread
    _stopping.clear()
    _thread = threading.Thread(target=_work, name="plugin-samples", daemon=True)
    _thread.start()


def stop() -> None:
    """Write what is left and end the thread."""
    global _thread
    _stopping.set()
    if _thread:
        _thread.join(10)
        _thread = None


def clear() -> None:
    """Forget everything; for tests."""
    waiting.clear()
    with _guard:
        for memory in (_newest, _untrimmed, dropped):
            memory.clear()


def _note_newest(key: tuple[str, str], sample: PluginSample, tenant_id: str) -> None:
    """Keep the newest values; the plug-in silent for longest makes room; under the guard."""
    known = _newest.pop(key, None)  # put back at the end: the order is that of arrival
    if known and known.at > sample.at:
        _newest[key] = known
        return
    if len(_newest) >= MAX_NEWEST:
        del _newest[next(iter(_newest))]
    metrics = sample.metrics or (known.metrics if known else {})
    _newest[key] = Newest(tenant_id, sample.at, metrics)


# --- writing --------------------------------------------------------------------


def _write(spans: dict[SpanKey, Span], lines: list[Line]) -> None:
    """Write spans over what is stored of them, and lines behind the others."""
    if not spans and not lines:
        return
    with write_transaction(settings.SERIES_DATABASE):
        for chunk in _chunks(sorted(spans.items())):
            _write_spans(dict(chunk))
        PluginLine.objects.bulk_create(
            [PluginLine(agent_id=a, plugin=p, at=at, text=text) for a, p, at, text in lines],
            batch_size=ROWS_AT_ONCE,
        )
        _untrimmed.update(line.agent_id for line in lines)
        for agent_id, count in list(_untrimmed.items()):
            if count >= TRIM_AFTER_LINES:
                trim_lines(agent_id)
                del _untrimmed[agent_id]


def _ensure_room() -> None:
    """Raise DiskFull when the disk of the figures is nearly full; PostgreSQL guards its own."""
    connection = connections[settings.SERIES_DATABASE]
    if connection.vendor == "sqlite":
        file = Path(connection.settings_dict["NAME"])
        ensure_room_for(ROOM_BYTES, directory=file.parent)


def _write_spans(spans: dict[SpanKey, Span]) -> None:
    """Add the figures to the stored ones of the same spans."""
    for key, row in _stored(spans):
        spans[key].absorb(Span(row.last_at, decode(row.figures)))
    PluginSpan.objects.bulk_create(
        [_row(key, span) for key, span in spans.items()],
        update_conflicts=True,
        unique_fields=["agent_id", "plugin", "level", "start"],
        update_fields=["last_at", "figures"],
    )


def _row(key: SpanKey, span: Span) -> PluginSpan:
    """Return a span as it is stored; metrics that find no room in a row are counted."""
    text, left_out = encode(span.figures, limit_bytes=MAX_ROW_BYTES)
    dropped["metrics"] += left_out
    return PluginSpan(**key._asdict(), last_at=span.last_at, figures=text)


def _stored(spans: Mapping[SpanKey, Span]) -> Iterator[tuple[SpanKey, PluginSpan]]:
    """Yield the stored rows of these spans."""
    rows: QuerySet[PluginSpan] = PluginSpan.objects.filter(
        agent_id__in={key.agent_id for key in spans},
        start__in={key.start for key in spans},
        level__in=LEVELS,
    )
    if settings.SERIES_DATABASE == "default":
        rows = rows.select_for_update()  # another server process may add to the same span
    for row in rows:
        key = SpanKey(row.agent_id, row.plugin, row.level, row.start)
        if key in spans:
            yield key, row


def trim_lines(agent_id: str) -> int:
    """Keep a host's newest lines only; returns how many went."""
    mine = PluginLine.objects.filter(agent_id=agent_id).order_by("-id")
    oldest_kept = mine.values_list("id", flat=True)[KEEP_LINES_PER_AGENT - 1 : KEEP_LINES_PER_AGENT]
    for edge in oldest_kept:
        gone = PluginLine.objects.filter(agent_id=agent_id, id__lt=edge)
        return int(gone._raw_delete(gone.db))
    return 0


def _chunks(
    items: Sequence[tuple[SpanKey, Span]],
) -> Iterator[Sequence[tuple[SpanKey, Span]]]:
    """Yield the spans in groups that fit into one query."""
    return (items[start : start + ROWS_AT_ONCE] for start in range(0, len(items), ROWS_AT_ONCE))


def _work() -> None:
    """Write until told to stop, and once more then."""
    is_last, pause_seconds = False, FLUSH_SECONDS
    while not is_last:
        is_last = _stopping.wait(pause_seconds)
        began_at = time.monotonic()
        try:
            flush()
        except DatabaseError:
            log.exception("samples of plug-ins could not be written")
        except DiskFull as error:
            log.warning("samples of plug-ins wait: %s", error.detail)
        finally:
            close_old_connections()
        pause_seconds = pause_after(time.monotonic() - began_at)


def pause_after(flush_seconds: float) -> float:
    """Return the pause after a flush that took so long.

    Writing takes at most a fifth of the time, however large the fleet: the more that is
    gathered at once, the fewer rows are written over and over.
    """
    return min(max(FLUSH_SECONDS, 4 * flush_seconds), MAX_FLUSH_SECONDS)
