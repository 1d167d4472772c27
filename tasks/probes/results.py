"""Reads of the result log: the newest results of a probe, and those of a span.

Promises that the cost follows the page asked for, never the size of the log.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tasks.probes.choices import OUTCOME_NAMES
from tasks.probes.series.models import ProbeResult

US = 1_000_000
MAX_RESULTS = 10_000


def results_of(
    probe_id: int,
    *,
    since: float | None = None,
    until: float | None = None,
    agent_id: str = "",
    limit: int = 500,
) -> list[ProbeResult]:
    """Return results newest first, at most limit; moments in seconds since the epoch."""
    found = ProbeResult.objects.filter(probe_id=probe_id)
    if since is not None:
        found = found.filter(started_us__gte=int(since * US))
    if until is not None:
        found = found.filter(started_us__lt=int(until * US))
    if agent_id:
        found = found.filter(agent_id=agent_id)
    return list(found.order_by("-started_us", "-id")[: min(max(limit, 1), MAX_RESULTS)])


def shown(result: ProbeResult) -> dict[str, Any]:
    """Return a result in the API's words."""
    outcome = OUTCOME_NAMES.get(result.outcome, "error")
    return {
        "id": result.pk,
        "agent_id": result.agent_id or None,
        "success": outcome in {"up", "degraded"},
        "outcome": outcome,
        "reason": result.reason,
        "phase": result.phase,
        "started_at": moment(result.started_us),
        "ended_at": None if result.ended_us is None else moment(result.ended_us),
        "duration_seconds": result.duration_us / US,
        "late_seconds": result.late_us / US,
        "saturated": result.is_saturated,
        "count": result.count,
        "version": result.version,
        "phases": read_json(result.phases),
        "error": result.error,
        "details": read_json(result.details),
    }


def shown_all(results: Sequence[ProbeResult]) -> list[dict[str, Any]]:
    """Return results in the API's words."""
    return [shown(one) for one in results]


def moment(us: int) -> datetime:
    """Return microseconds since the epoch as a moment."""
    return datetime.fromtimestamp(us / US, UTC)


def read_json(text: str) -> dict[str, Any]:
    """Return a stored JSON object; empty text is an empty one."""
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}
