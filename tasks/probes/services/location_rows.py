"""Writes locations back: one prepared statement for all of them.

bulk_update builds a CASE per column and row: 4,000 locations took 10 s that way.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection

from tasks.probes.models import Location

FIELDS = tuple(
    field for field in Location._meta.concrete_fields if field.name not in {"id", "probe", "agent"}
)
_UPDATE = (
    f"UPDATE {Location._meta.db_table} "  # noqa: S608 - names of columns
    f"SET {', '.join(f'{field.column} = %s' for field in FIELDS)} WHERE id = %s"
)


def write_locations(rows: Sequence[Location]) -> None:
    """Store every column of stored locations; in the caller's transaction."""
    if not rows:
        return
    values = [
        [
            *(field.get_db_prep_save(getattr(row, field.attname), connection) for field in FIELDS),
            row.pk,
        ]
        for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(_UPDATE, values)
