"""Problems of probes: what is down, degraded, without results, or about to expire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from tasks.alerts.choices import Event
from tasks.alerts.problems import MAX_PROBLEMS, Problem
from tasks.probes.choices import State
from tasks.probes.models import Incident, Location, Probe
from tasks.probes.sentences import said

QUIET_STATES = (State.MAINTENANCE, State.PAUSED)
LONGEST_CERTIFICATE_DAYS = 365


def probes_down(tenant_id: str, _now: datetime) -> list[Problem]:
    """Return the open incidents of a tenant; those kept quiet are marked as such."""
    rows = Incident.objects.filter(tenant_id=tenant_id, ended_at=None).select_related("probe")
    return [_incident(row) for row in rows.order_by("id")[:MAX_PROBLEMS]]


def probes_impaired(tenant_id: str, now: datetime) -> list[Problem]:
    """Return the probes of a tenant that are degraded, and those nobody hears of."""
    states = {State.DEGRADED: Event.PROBE_DEGRADED, State.UNKNOWN: Event.PROBE_UNKNOWN}
    probes = Probe.objects.of_tenant(tenant_id).filter(enabled=True, state__in=states)
    titles = {
        State.DEGRADED: _("%(name)s is degraded"),
        State.UNKNOWN: _("%(name)s: no results arrive"),
    }
    return [
        Problem(
            event=states[State(probe.state)],
            key=f"probe:{probe.pk}:{probe.state}",
            name=probe.name,
            title=titles[State(probe.state)] % {"name": probe.name},
            text=probe.target,
            since=probe.state_since or now,
            url=probe.get_absolute_url(),
            labels=labels_of(probe.tags),
        )
        for probe in probes.order_by("id")[:MAX_PROBLEMS]
    ]


def expiring_certificates(tenant_id: str, now: datetime) -> list[Problem]:
    """Return the certificate of each probe that ends first, within a year."""
    rows = Location.objects.filter(
        probe__tenant_id=tenant_id, probe__enabled=True, last_details__has_key="certificates"
    ).select_related("probe")
    soonest: dict[int, tuple[float, Location]] = {}
    for row in rows.order_by("probe_id", "id")[:MAX_PROBLEMS]:
        days = days_left(row.last_details)
        if days is not None and days <= soonest.get(row.probe_id, (days, row))[0]:
            soonest[row.probe_id] = (days, row)
    return [_certificate(row.probe, days, now) for days, row in soonest.values()]


def days_left(details: Any) -> float | None:
    """Return the days of the certificate that ends first, whatever the host says."""
    notes = details.get("certificates") if isinstance(details, Mapping) else None
    found = [
        note["days_left"]
        for note in (notes if isinstance(notes, list) else [])
        if isinstance(note, dict) and isinstance(note.get("days_left"), int | float)
    ]
    soonest = min(found, default=None)
    return None if soonest is None or soonest > LONGEST_CERTIFICATE_DAYS else float(soonest)


def labels_of(tags: Iterable[str]) -> dict[str, str]:
    """Return tags as labels: "team=web" is one with a text, "core" one without."""
    parts = (tag.partition("=") for tag in tags if isinstance(tag, str))
    return {name.strip(): text.strip() for name, _sep, text in parts}


def _incident(incident: Incident) -> Problem:
    """Return what is told of an outage."""
    probe = incident.probe
    lines = (probe.target, said(incident.error or incident.reason))
    return Problem(
        event=Event.PROBE_DOWN,
        key=f"incident:{incident.pk}",
        name=probe.name,
        title=_("%(name)s is down") % {"name": probe.name},
        text="\n".join(line for line in lines if line),
        since=incident.started_at,
        url=probe.get_absolute_url(),
        labels=labels_of(probe.tags),
        is_suppressed=bool(incident.suppressed_by) or probe.state in QUIET_STATES,
    )


def _certificate(probe: Probe, days: float, now: datetime) -> Problem:
    """Return what is told of a certificate; since is now, because its end has no beginning."""
    whole = int(days)
    text = ngettext("%(count)d day left", "%(count)d days left", whole) % {"count": whole}
    return Problem(
        event=Event.CERTIFICATE,
        key=f"certificate:{probe.pk}",
        name=probe.name,
        title=_("Certificate of %(name)s: %(left)s") % {"name": probe.name, "left": text},
        text=probe.target,
        since=now,
        url=probe.get_absolute_url(),
        labels=labels_of(probe.tags),
        days_left=days,
        is_suppressed=probe.state in QUIET_STATES,
    )
