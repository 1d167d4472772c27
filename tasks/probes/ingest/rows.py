"""Statements of the result log: plain SQL, because the ORM costs ten times as much a row."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from django.conf import settings
from django.db import connections

from tasks.probes.ingest.judging import US, Row
from tasks.probes.ingest.ranges import Ranges
from tasks.probes.series.models import ProbeResult, StreamPosition

COLUMNS = (
    "probe_id",
    "agent_id",
    "started_us",
    "ended_us",
    "outcome",
    "count",
    "duration_us",
    "late_us",
    "version",
    "is_saturated",
    "reason",
    "phase",
    "phases",
    "error",
    "details",
)
LOG_LOCK = 0x70726F62
"""PostgreSQL's advisory lock of the log: "prob"."""

Stream = tuple[str, str]
"""(agent id, name of the stream)."""

_INSERT = (
    f"INSERT INTO {ProbeResult._meta.db_table} ({', '.join(COLUMNS)}) "  # noqa: S608 - constants
    f"VALUES ({', '.join(['%s'] * len(COLUMNS))})"
)


def lock_log() -> None:
    """Let one process at a time append, inside its transaction.

    Followers read by id and never look back, so ids must become visible in their order;
    PostgreSQL hands them out before the commit. SQLite has one writer anyway.
    """
    connection = connections[settings.SERIES_DATABASE]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOG_LOCK])


def append(rows: Sequence[Row]) -> None:
    """Append results to the log, in the given order."""
    if rows:
        with connections[settings.SERIES_DATABASE].cursor() as cursor:
            cursor.executemany(_INSERT, rows)


def read_positions(agent_ids: Iterable[str]) -> dict[Stream, Ranges]:
    """Return what was seen of each stream of these agents."""
    rows = StreamPosition.objects.filter(agent_id__in=set(agent_ids))
    return {
        (agent_id, stream): Ranges.load(seen)
        for agent_id, stream, seen in rows.values_list("agent_id", "stream", "seen")
    }


def write_positions(positions: dict[Stream, Ranges]) -> None:
    """Store what was seen of each stream."""
    now_us = int(time.time() * US)
    StreamPosition.objects.bulk_create(
        [
            StreamPosition(agent_id=agent_id, stream=stream, seen=seen.dump(), updated_us=now_us)
            for (agent_id, stream), seen in positions.items()
        ],
        update_conflicts=True,
        unique_fields=["agent_id", "stream"],
        update_fields=["seen", "updated_us"],
    )
