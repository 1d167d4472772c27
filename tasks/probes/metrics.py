"""Probes for Prometheus, in the names of blackbox_exporter, so that its dashboards fit.

Reads the last run of each location at a scrape; at most MAX_LOCATIONS, and says how many
it left out. A location that knows nothing says nothing: absent is not 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric

from dialer_platform.console import tenant_metrics
from tasks.probes.choices import Outcome, State
from tasks.probes.models import Location

MAX_LOCATIONS = 20_000
LABELS = ["tenant", "probe", "name", "kind", "target", "agent"]
ANSWERED = {Outcome.UP, Outcome.DEGRADED}


def read(tenant_id: str | None) -> Iterator[Metric]:
    """Yield the metrics of a tenant's probes, of all tenants' for None."""
    rows = list(_locations(tenant_id)[: MAX_LOCATIONS + 1])
    left_out = max(len(rows) - MAX_LOCATIONS, 0)
    yield from metrics_of(rows[:MAX_LOCATIONS])
    yield GaugeMetricFamily(
        "dialer_probe_locations_left_out", "Whether not all were told.", value=left_out
    )


def metrics_of(rows: list[Location]) -> list[Metric]:
    """Return the metrics of locations."""
    success = _family("probe_success", "Whether the target answered as it should.")
    duration = _family("probe_duration_seconds", "How long the last run took.")
    phases = _family("probe_http_duration_seconds", "Duration by phase.", "phase")
    lookup = _family("probe_dns_lookup_time_seconds", "How long the name took.")
    expiry = _family("probe_ssl_earliest_cert_expiry", "When the certificate expires.")
    code = _family("probe_http_status_code", "The last status.")
    for row in rows:
        words = _words(row)
        success.add_metric(words, float(row.last_outcome in ANSWERED))
        duration.add_metric(words, row.last_duration_seconds or 0.0)
        for name, seconds in (row.last_phases or {}).items():
            phases.add_metric([*words, str(name)], float(seconds))
        _add(lookup, words, (row.last_phases or {}).get("dns"))
        _add(expiry, words, expiry_of(row.last_details or {}))
        _add(code, words, (row.last_details or {}).get("status"))
    return [success, duration, phases, lookup, expiry, code]


def expiry_of(details: dict[str, Any]) -> float | None:
    """Return when the certificate of a run expires, in epoch seconds; None without one."""
    certificate = details.get("certificate")
    source = certificate if isinstance(certificate, dict) else details
    value = source.get("not_after")
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(value) if isinstance(value, int | float) else None


def register() -> None:
    """Have /metrics show the probes."""
    tenant_metrics.add("probes", read)


def _locations(tenant_id: str | None) -> Any:
    """Return the locations that know something, of one tenant or of all."""
    rows = Location.objects.select_related("probe", "agent").exclude(last_outcome="")
    if tenant_id is not None:
        rows = rows.filter(probe__tenant_id=tenant_id)
    return rows.exclude(state__in=[State.PENDING, State.UNKNOWN]).order_by("id")


def _words(row: Location) -> list[str]:
    """Return the values of the labels."""
    probe = row.probe
    agent = row.agent.name if row.agent else ""
    return [probe.tenant_id, str(probe.pk), probe.name, probe.kind, probe.target, agent]


def _family(name: str, text: str, *more: str) -> GaugeMetricFamily:
    """Return an empty metric."""
    return GaugeMetricFamily(name, text, labels=[*LABELS, *more])


def _add(family: GaugeMetricFamily, words: list[str], value: Any) -> None:
    """Add a value that is a number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        family.add_metric(words, float(value))
