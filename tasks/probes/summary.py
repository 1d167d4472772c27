"""What a probe came to over a window, from roll-ups only: the cost follows the window."""

from __future__ import annotations

import time
from typing import Any

from tasks.probes.models import Incident, Probe
from tasks.probes.results import moment
from tasks.probes.rollups.store import spans_of
from tasks.probes.rollups.sums import COUNTS, DAY, HOUR, MINUTE, STEPS, US, Sums

MINUTES_UP_TO = 6 * 3_600
HOURS_UP_TO = 31 * 86_400
MAX_POINTS = 400


def level_for(window_seconds: int) -> int:
    """Return the finest level that answers a window with few hundred spans."""
    if window_seconds <= MINUTES_UP_TO:
        return MINUTE
    return HOUR if window_seconds <= HOURS_UP_TO else DAY


def summarise(
    probe: Probe, window_seconds: int, *, agent_id: str = "", now: float | None = None
) -> dict[str, Any]:
    """Return the whole window and its spans; a window begins at the edge of a span."""
    now = time.time() if now is None else now
    level = level_for(window_seconds)
    step = STEPS[level]
    first = int(now - window_seconds) // step * step
    total, spans = Sums(), dict[int, Sums]()
    for start, sums in spans_of(probe.pk, level, first, int(now) + 3_600, agent_id):
        total.add(sums)
        spans.setdefault(start, Sums()).add(sums)
    return {
        "probe_id": probe.pk,
        "window_seconds": window_seconds,
        "step_seconds": step,
        "state": probe.state,
        **figures(total),
        "incidents": Incident.objects.filter(
            probe=probe, started_at__gte=moment(first * US)
        ).count(),
        "series": [span(start, sums) for start, sums in sorted(spans.items())[-MAX_POINTS:]],
    }


def figures(sums: Sums) -> dict[str, Any]:
    """Return counts, shares and latencies in seconds."""
    return {
        **{name: getattr(sums, name) for name in COUNTS},
        "availability": sums.availability,
        "coverage": sums.coverage,
        "min_seconds": seconds(sums.latency_min_us),
        "mean_seconds": seconds(sums.mean_us),
        "max_seconds": seconds(sums.latency_max_us),
        "p50_seconds": seconds(sums.percentile_us(0.50)),
        "p95_seconds": seconds(sums.percentile_us(0.95)),
        "p99_seconds": seconds(sums.percentile_us(0.99)),
    }


def span(start: int, sums: Sums) -> dict[str, Any]:
    """Return one piece of the series."""
    return {
        "start": moment(start * US),
        **{name: getattr(sums, name) for name in COUNTS},
        "availability": sums.availability,
        "mean_seconds": seconds(sums.mean_us),
        "p95_seconds": seconds(sums.percentile_us(0.95)),
    }


def seconds(us: float | None) -> float | None:
    """Return microseconds as seconds."""
    return None if us is None else us / US
