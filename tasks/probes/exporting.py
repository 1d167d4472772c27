"""Probes and results as files: CSV for spreadsheets, JSON for programs. Pure but for reading."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
RESULT_COLUMNS = (
    "started_at",
    "agent_id",
    "outcome",
    "reason",
    "phase",
    "duration_seconds",
    "late_seconds",
    "count",
    "version",
    "error",
)
PROBE_COLUMNS = (
    "id",
    "name",
    "kind",
    "target",
    "interval",
    "timeout",
    "enabled",
    "config",
    "agents",
    "labels",
    "tags",
    "policy",
    "fail_threshold",
    "recover_threshold",
    "parents",
    "state",
)


def as_csv(rows: Iterable[Mapping[str, Any]], columns: tuple[str, ...]) -> Iterator[str]:
    """Yield the lines of a CSV file with a head."""
    yield _line(columns)
    for row in rows:
        yield _line([cell(row.get(name)) for name in columns])


def cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet takes for a formula.

    Names, targets and errors come from strangers: `=HYPERLINK(…)` in one must stay text.
    """
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return str(value)
    text = value if isinstance(value, str) else json.dumps(value, cls=DjangoJSONEncoder)
    if not isinstance(value, str):
        text = text.strip('"')
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def as_json(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a JSON list, one object a line."""
    start = "[\n"
    for row in rows:
        yield start + json.dumps(row, cls=DjangoJSONEncoder, ensure_ascii=False)
        start = ",\n"
    yield "\n]\n" if start == ",\n" else "[]\n"


def _line(cells: Iterable[str]) -> str:
    """Return one line of CSV."""
    buffer = io.StringIO()
    csv.writer(buffer).writerow(cells)
    return buffer.getvalue()
