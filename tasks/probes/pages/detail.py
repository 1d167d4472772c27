"""One probe: its state per location, latency, results, incidents."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from agent_client.protocol import probe_kinds
from dialer_platform.accounts.principal import Principal, principal_of
from dialer_platform.console.htmx import answers_errors, render_page
from tasks.probes.models import Probe
from tasks.probes.pages.access import probe_for
from tasks.probes.pages.charts import NEWEST, WINDOWS, latency_chart, phases_of
from tasks.probes.pages.rows import rows_of
from tasks.probes.results import results_of, shown_all

SHOWN_RESULTS = 25
SHOWN_INCIDENTS = 20
PHASED_RESULTS = 1_000
MASK = "••••••"


@require_safe
@answers_errors
def probe_detail(request: HttpRequest, probe_id: int) -> HttpResponse:
    """Show a probe; ?window= chooses the span of the chart."""
    probe = probe_for(request, probe_id)
    context = detail_context(probe, principal_of(request), request.GET.get("window", ""))
    return render_page(
        request, "probes/probe_detail.html", context, fragment="probes/_probe_detail.html"
    )


def detail_context(probe: Probe, principal: Principal, window: str) -> dict[str, Any]:
    """Return what the page of a probe shows; an unknown window is the first one."""
    now = time.time()
    chosen = window if window in WINDOWS else next(iter(WINDOWS))
    names = {one.agent_id or "": one.agent.name for one in probe.locations.all() if one.agent}
    newest = results_of(probe.pk, limit=PHASED_RESULTS)
    row = rows_of([probe], principal)[0]
    return {
        "probe": probe,
        "row": row,
        "chart": latency_chart(probe.pk, names, chosen, now),
        "windows": list(WINDOWS),
        "phases": phases_of(newest, names),
        "results": [
            {**result, "agent_name": names.get(result["agent_id"] or "", "")}
            for result in shown_all(newest[:SHOWN_RESULTS])
        ],
        "incidents": probe.incidents.order_by("-started_at", "-id")[:SHOWN_INCIDENTS],
        "certificates": certificates(probe),
        "settings": settings_of(probe),
        "newest_limit": NEWEST,
    }


def certificates(probe: Probe) -> list[dict[str, Any]]:
    """Return the certificates that the locations saw last, soonest end first."""
    found = [
        {
            "location": location.agent.name if location.agent else "",
            "host": str(note.get("host") or note.get("subject") or ""),
            "days_left": note["days_left"],
            "ends": _moment(note.get("not_after")),
        }
        for location in probe.locations.all()
        for note in _notes(location.last_details)
    ]
    return sorted(found, key=lambda one: one["days_left"])


def settings_of(probe: Probe) -> list[tuple[str, Any]]:
    """Return the settings that were chosen, with their labels; secrets masked."""
    known = {one.name: one for one in probe_kinds.fields(probe.kind)} if _is_known(probe) else {}
    return [
        (
            _(known[name].label) if name in known else name,
            MASK if name in known and known[name].secret else value,
        )
        for name, value in probe.config.items()
    ]


def _is_known(probe: Probe) -> bool:
    """Return whether this version knows the probe's kind."""
    return probe.kind in probe_kinds.SPECS


def _notes(details: Any) -> list[dict[str, Any]]:
    """Return the certificates among the details, whatever the host says."""
    rows = details.get("certificates") if isinstance(details, dict) else None
    return [
        row
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and isinstance(row.get("days_left"), int | float)
    ]


def _moment(value: Any) -> datetime | None:
    """Return a moment that a host sent, None when it is none."""
    try:
        return datetime.fromtimestamp(float(value), UTC) if value else None
    except (TypeError, ValueError, OverflowError, OSError):
        return None
