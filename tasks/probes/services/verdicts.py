"""What a probe's locations say together: its state, its incident, and who is told.

Planned work and a parent that is down keep a probe quiet, not blind: its state and its
incident say so, and whoever listens hears `suppressed_by` with it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tasks.probes import events
from tasks.probes.choices import State
from tasks.probes.judgement import Belief, together
from tasks.probes.models import Incident, Location, Probe
from tasks.probes.windows import Cover

ENDED_BY: dict[str, str] = {
    State.UP: "recovered",
    State.DEGRADED: "recovered",
    State.MAINTENANCE: "maintenance",
}
"""The states that close an incident, and what is written down as its end."""
MAX_DEPTH = 32
Seen = tuple[str, str]
"""(state, history) of one location."""
MAINTENANCE = "maintenance"


def decide(probes: Iterable[Probe], cover: Cover) -> int:
    """Move each probe to what its locations say, and return how many changed.

    Call it in the transaction that changed the locations.
    """
    listed = list(probes)
    seen: dict[int, list[Seen]] = defaultdict(list)
    # Three columns, not rows: this runs for every probe of a pass, whatever changed.
    columns = ("probe_id", "state", "history")
    rows = Location.objects.filter(probe_id__in=[one.pk for one in listed])
    for probe_id, state, history in rows.values_list(*columns):
        seen[probe_id].append((state, history))
    now = datetime.fromtimestamp(time.time(), UTC)
    # All states first, then the news: what a parent becomes in this very pass decides
    # whether its children are told.
    moves = [_move(probe, seen[probe.pk], cover, now) for probe in listed]
    told = [move for move in moves if move is not None]
    for probe, old in told:
        quiet = MAINTENANCE if probe.state == State.MAINTENANCE else silenced_by(probe)
        incident = _incident(probe, now, quiet)
        events.probe_changed(
            events.ProbeChange(
                probe, old, probe.state, now, incident, quiet, is_flapping=probe.is_flapping
            )
        )
    return len(told)


def _move(
    probe: Probe, locations: Sequence[Seen], cover: Cover, now: datetime
) -> tuple[Probe, str] | None:
    """Store a probe's new state and return its old one; None when it stays."""
    seen = together([state for state, _ in locations], probe.policy)
    state = State.MAINTENANCE if cover.covers(probe.pk, now.timestamp()) else seen
    flapping = any(Belief(history=history).is_flapping for _, history in locations)
    if state == probe.state and flapping == probe.is_flapping:
        return None
    old = probe.state
    changes: dict[str, Any] = {"is_flapping": flapping, "state": state}
    if state != old:
        changes["state_since"] = now
    # A pause may have come between: what a person decided stays.
    moved = Probe.objects.filter(pk=probe.pk, enabled=True).update(**changes)
    for name, value in changes.items():
        setattr(probe, name, value)
    return (probe, old) if moved and state != old else None


def silenced_by(probe: Probe) -> str:
    """Return `probe:<id>` of a probe above this one that is down, else nothing."""
    level, seen = {probe.pk}, {probe.pk}
    for _ in range(MAX_DEPTH):
        above = Probe.objects.filter(children__in=level).exclude(pk__in=seen).distinct()
        states: Mapping[int, str] = dict(above.values_list("pk", "state"))
        down = [key for key, state in states.items() if state == State.DOWN]
        if down:
            return f"probe:{min(down)}"
        if not states:
            return ""
        level = set(states)
        seen |= level
    return ""


def _incident(probe: Probe, now: datetime, quiet: str) -> Incident | None:
    """Open an incident when it goes down, close the open one when it is seen up again.

    Unknown closes nothing: whether the target recovered is exactly what is not known.
    """
    if probe.state == State.DOWN:
        down = list(probe.locations.filter(state=State.DOWN).order_by("id"))
        worst = max(down, key=lambda row: row.failures, default=None)
        opened, _ = Incident.objects.get_or_create(
            probe=probe,
            ended_at=None,
            defaults={
                "tenant_id": probe.tenant_id,
                "started_at": _began(down, now),
                "reason": worst.last_reason if worst else "",
                "error": worst.last_error if worst else "",
                "locations": [row.agent_id for row in down],
                "suppressed_by": quiet,
            },
        )
        return opened
    ended_by = ENDED_BY.get(probe.state, "")
    incident = Incident.objects.filter(probe=probe, ended_at=None).first() if ended_by else None
    if incident:
        incident.ended_at, incident.ended_by = now, ended_by
        incident.save(update_fields=["ended_at", "ended_by"])
    return incident


def _began(down: Sequence[Location], now: datetime) -> datetime:
    """Return when the first of the locations went down; never later than now."""
    return min([row.state_since for row in down if row.state_since] + [now])
