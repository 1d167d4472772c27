"""Roll-ups in the database: what is stored plus what is new, by one upsert."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from django.conf import settings
from django.db import connections

from tasks.probes.rollups import sketch
from tasks.probes.rollups.sums import SUM_FIELDS, Key, Sums
from tasks.probes.series.models import RollUp

PROBES_AT_ONCE = 400


_COLUMNS = (*Key._fields, *SUM_FIELDS, "sketch")
_UPSERT = (
    f"INSERT INTO {RollUp._meta.db_table} ({', '.join(_COLUMNS)}) "  # noqa: S608 - constants
    f"VALUES ({', '.join(['%s'] * len(_COLUMNS))}) "
    "ON CONFLICT (probe_id, level, start, agent_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in (*SUM_FIELDS, "sketch"))
)


def with_stored(sums: Mapping[Key, Sums]) -> Mapping[Key, Sums]:
    """Return the sums with what is stored of their spans added."""
    stored = read(sums)
    for key, new in sums.items():
        if old := stored.get(key):
            new.add(old)
    return sums


def write(sums: Mapping[Key, Sums]) -> None:
    """Store whole spans; in a transaction with what says which results are in them."""
    rows = [
        (*key, *(getattr(one, name) for name in SUM_FIELDS), sketch.dump(one.buckets))
        for key, one in sums.items()
    ]
    with connections[settings.SERIES_DATABASE].cursor() as cursor:
        cursor.executemany(_UPSERT, rows)


def read(sums: Mapping[Key, Sums]) -> dict[Key, Sums]:
    """Return what is stored of these spans."""
    probes: dict[tuple[int, int], set[int]] = defaultdict(set)
    for key in sums:
        probes[key.level, key.start].add(key.probe_id)
    found: dict[Key, Sums] = {}
    for (level, start), ids in probes.items():
        for chunk in _chunks(sorted(ids)):
            rows = RollUp.objects.filter(level=level, start=start, probe_id__in=chunk)
            found |= {key_of(row): sums_of(row) for row in rows}
    return {key: one for key, one in found.items() if key in sums}


def spans_of(
    probe_id: int, level: int, first: int, last: int, agent_id: str = ""
) -> Iterator[tuple[int, Sums]]:
    """Yield (start, sums) of a probe's spans from first up to last, oldest first."""
    rows = RollUp.objects.filter(
        probe_id=probe_id, level=level, start__gte=first, start__lt=last
    ).order_by("start")
    if agent_id:
        rows = rows.filter(agent_id=agent_id)
    for row in rows.iterator(chunk_size=2_000):
        yield row.start, sums_of(row)


def key_of(row: RollUp) -> Key:
    """Return the span of a row."""
    return Key(row.level, row.probe_id, row.agent_id, row.start)


def sums_of(row: RollUp) -> Sums:
    """Return the sums of a row."""
    plain = {name: getattr(row, name) for name in SUM_FIELDS}
    return Sums(**plain, buckets=sketch.load(row.sketch))


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    """Yield the ids some at a time: SQLite takes a bounded number of parameters."""
    for first in range(0, len(ids), PROBES_AT_ONCE):
        yield ids[first : first + PROBES_AT_ONCE]
