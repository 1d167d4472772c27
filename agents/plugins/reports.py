"""How plug-ins are, as hosts say it in beats: written with the other live figures.

A reader of the flusher: after each flush it compares what changed hosts say with what was
written last, and writes the differences of all of them in one transaction. A beat costs
nothing here, and one that says nothing new is not written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from agent_client.protocol.plugins import PluginState
from agents import database_clock
from agents.hot import HotAgent
from agents.plugins.choices import NAME
from agents.plugins.models import PluginReport
from agents.plugins.refusals import Refusals
from dialer_platform.storage import write_transaction

MAX_DETAIL_CHARACTERS = 500
MAX_VERSION_CHARACTERS = 40
CODE = re.compile(r"[a-z_]{1,40}")
MAX_COUNT = 2**53
MAX_KNOWN = 20_000
ROWS_AT_ONCE = 500
FIELDS = ("condition", "version", "detail", "restarts", "since", "dropped_samples", "code")


class Said(NamedTuple):
    """What was written of one plug-in."""

    condition: str
    version: str
    detail: str
    restarts: int
    since: datetime | None
    dropped_samples: int
    code: str


_known: dict[str, dict[str, Said]] = {}
refusals = Refusals()


def take(hosts: Sequence[HotAgent]) -> None:
    """Write what these hosts say anew of their plug-ins; in the flusher's thread."""
    _learn([host.agent_id for host in hosts if host.agent_id not in _known])
    fresh = {host.agent_id: _said(host.plugins) for host in hosts}
    changed = [host for host in hosts if fresh[host.agent_id] != _known[host.agent_id]]
    if not changed:
        return
    now = database_clock.now()
    rows: list[PluginReport] = []
    with write_transaction():
        for host in changed:
            before, after = _known[host.agent_id], fresh[host.agent_id]
            refusals.record(host, before, after)
            if gone := before.keys() - after.keys():
                PluginReport.objects.filter(agent_id=host.agent_id, name__in=gone).delete()
            rows += [
                PluginReport(
                    tenant_id=host.tenant_id,
                    agent_id=host.agent_id,
                    name=name,
                    reported_at=now,
                    **said._asdict(),
                )
                for name, said in after.items()
                if before.get(name) != said
            ]
        PluginReport.objects.bulk_create(
            rows,
            batch_size=ROWS_AT_ONCE,
            update_conflicts=True,
            unique_fields=["agent", "name"],
            update_fields=[*FIELDS, "reported_at"],
        )
    # Only after the commit: what failed to be written is new once more the next time.
    _known.update((host.agent_id, fresh[host.agent_id]) for host in changed)


def clear() -> None:
    """Forget what was written; for tests."""
    global refusals
    _known.clear()
    refusals = Refusals()


def _learn(agent_ids: Sequence[str]) -> None:
    """Remember the stored reports of hosts that this process has not heard before."""
    if len(_known) + len(agent_ids) > MAX_KNOWN:
        _known.clear()  # costs one reading; the bound holds however many hosts come and go
    for start in range(0, len(agent_ids), ROWS_AT_ONCE):
        chunk = agent_ids[start : start + ROWS_AT_ONCE]
        _known.update((name, {}) for name in chunk)
        rows = PluginReport.objects.filter(agent_id__in=chunk)
        for agent_id, name, *said in rows.values_list("agent_id", "name", *FIELDS):
            _known[agent_id][name] = Said(*said)


def _said(states: Iterable[PluginState]) -> dict[str, Said]:
    """Return what a host says, each text and number within its bounds."""
    return {
        one.name: Said(
            one.condition,
            _plain(one.version)[:MAX_VERSION_CHARACTERS],
            _plain(one.detail)[:MAX_DETAIL_CHARACTERS],
            min(max(int(one.restarts), 0), MAX_COUNT),
            _moment(one.since),
            min(max(int(one.dropped_samples), 0), MAX_COUNT),
            one.code if CODE.fullmatch(one.code) else "",
        )
        for one in states
        if NAME.fullmatch(one.name)
    }


def _plain(text: str) -> str:
    """Return a text without what PostgreSQL does not store."""
    return text.replace("\0", "\ufffd")


def _moment(seconds: float) -> datetime | None:
    """Return a moment that a host names, None for none or nonsense."""
    try:
        return datetime.fromtimestamp(int(seconds), UTC) if seconds > 0 else None
    except (OverflowError, ValueError, OSError):
        return None
