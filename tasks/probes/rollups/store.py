"""Roll-ups in the database: what is stored plus what is new, by one upsert."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from tasks.probes.rollups import sketch
from tasks.probes.rollups.sums import SUM_FIELDS, Key, Sums
from tasks.probes.series.models import RollUp

PROBES_AT_ONCE = 400


def add_stored(sums: Mapping[Key, Sums]) -> None:
    """Add sums to the stored ones; in a transaction with what says they were added."""
    stored = read(sums)
    rows = []
    for key, new in sums.items():
        if old := stored.get(key):
            new.add(old)
        plain = {name: getattr(new, name) for name in SUM_FIELDS}
        rows.append(RollUp(**key._asdict(), **plain, sketch=sketch.dump(new.buckets)))
    RollUp.objects.bulk_create(
        rows,
        batch_size=500,
        update_conflicts=True,
        unique_fields=["probe_id", "level", "start", "agent_id"],
        update_fields=[*SUM_FIELDS, "sketch"],
    )


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
