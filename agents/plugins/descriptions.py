"""What the metrics of plug-ins are, in their own words: written to their reports in batches.

A description comes with the first sample of a start, often before the plug-in's first
report is written; it waits for that, but not for ever: it comes again within the hour.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from agent_client.protocol.plugins import MetricAbout
from agents.hot import HotAgent
from agents.plugins.models import PluginReport
from dialer_platform.storage import write_transaction

MAX_WAITING = 5_000
WAIT_SECONDS = 60.0
ROWS_AT_ONCE = 500

About = Mapping[str, Mapping[str, str]]
"""metric -> unit, help and kind, without those that hold their default."""


class _Waiting(NamedTuple):
    """A description that waits for its report."""

    about: dict[str, Any]
    until: float


_guard = threading.Lock()
_waiting: dict[tuple[str, str], _Waiting] = {}


def note(agent_id: str, plugin: str, about: Mapping[str, MetricAbout]) -> None:
    """Remember what a plug-in says of its metrics, until it is written; never waits."""
    fresh = _Waiting(msgspec.to_builtins(dict(about)), time.monotonic() + WAIT_SECONDS)
    with _guard:
        if len(_waiting) < MAX_WAITING or (agent_id, plugin) in _waiting:
            _waiting[agent_id, plugin] = fresh


def write(_hosts: Sequence[HotAgent] = ()) -> None:
    """Write what waits to the reports that are there; in the flusher's thread."""
    with _guard:
        waiting = dict(_waiting)
    found = [row for row in _reports_of(waiting) if (row.agent_id, row.name) in waiting]
    changed = []
    for row in found:
        about = waiting[row.agent_id, row.name].about
        if row.metrics != about:
            row.metrics = about
            changed.append(row)
    if changed:
        with write_transaction():
            PluginReport.objects.bulk_update(changed, ["metrics"], batch_size=ROWS_AT_ONCE)
    # Only after the commit: what failed to be written is tried again with the next flush.
    _let_go(waiting, {(row.agent_id, row.name) for row in found})


def about_of(agent_ids: Collection[str]) -> dict[tuple[str, str], About]:
    """Return what is known of the metrics of these hosts' plug-ins, by host and plug-in."""
    found: dict[tuple[str, str], About] = {}
    for chunk in _chunks(agent_ids):
        rows = PluginReport.objects.filter(agent_id__in=chunk).exclude(metrics={})
        for agent_id, name, metrics in rows.values_list("agent_id", "name", "metrics"):
            found[agent_id, name] = metrics
    return found


def clear() -> None:
    """Forget what waits; for tests."""
    with _guard:
        _waiting.clear()


def _reports_of(keys: Iterable[tuple[str, str]]) -> Iterator[PluginReport]:
    """Yield the reports of the hosts that the keys name."""
    for chunk in _chunks({agent_id for agent_id, _plugin in keys}):
        yield from PluginReport.objects.filter(agent_id__in=chunk)


def _let_go(waiting: Mapping[tuple[str, str], _Waiting], written: set[tuple[str, str]]) -> None:
    """Forget what is written or waited too long, unless something newer has come."""
    now = time.monotonic()
    with _guard:
        for key, one in waiting.items():
            if _waiting.get(key) is one and (key in written or one.until < now):
                del _waiting[key]


def _chunks(agent_ids: Collection[str]) -> Iterator[list[str]]:
    """Yield the ids in groups that fit into one query."""
    names = sorted(agent_ids)
    return (names[start : start + ROWS_AT_ONCE] for start in range(0, len(names), ROWS_AT_ONCE))
