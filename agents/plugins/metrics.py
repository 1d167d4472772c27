"""The newest values of plug-ins for /metrics, and what plug-ins say of their metrics.

Bounded, and only what came to this process lately: a host that left must not keep its last
value for ever.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)

from agents.plugins import descriptions, store
from agents.plugins.endpoints import refused_requests
from agents.plugins.shares import shares
from agents.plugins.spans import base_of
from dialer_platform.console import figures, tenant_metrics

MAX_VALUES = 10_000
MAX_INFOS = 2_000
STALE_SECONDS = 600.0
LABELS = ["tenant", "agent", "plugin", "metric"]
LEFT_OUT = "dialer_plugin_values_left_out"
WORDS = ("kind", "unit", "help")

Key = tuple[str, str]
Newest = Mapping[Key, store.Newest]
Known = Mapping[Key, descriptions.About]


def read(tenant_id: str | None, *, clock: Callable[[], float] = time.time) -> list[Metric]:
    """Return the values of a tenant's plug-ins, of all tenants' for None; at most MAX_VALUES."""
    since = clock() - STALE_SECONDS
    fresh = {
        key: newest
        for key, newest in store.newest().items()
        if newest.at >= since and tenant_id in (None, newest.tenant_id)
    }
    known = descriptions.about_of({agent_id for agent_id, _plugin in fresh})
    return [*_values(fresh, known), _infos(fresh, known)]


def _values(fresh: Newest, known: Known) -> list[Metric]:
    """Return the values: what says that it is a counter in a family of its own."""
    text = "Newest value that a plug-in of an agent measured."
    gauges = GaugeMetricFamily("dialer_plugin_value", text, labels=LABELS)
    text = "Newest value of what a plug-in says only grows."
    counters = CounterMetricFamily("dialer_plugin_counter", text, labels=LABELS)
    counts: Counter[str] = Counter()
    for (agent_id, _plugin), newest in fresh.items():
        counts[agent_id] += len(newest.metrics)
    room = shares(counts, MAX_VALUES)
    for (agent_id, plugin), newest in fresh.items():
        about = known.get((agent_id, plugin), {})
        for metric, value in list(newest.metrics.items())[: room[agent_id]]:
            room[agent_id] -= 1
            is_counter = about.get(base_of(metric), {}).get("kind") == "counter"
            family = counters if is_counter else gauges
            family.add_metric([newest.tenant_id, agent_id, plugin, metric], value)
    left_out = max(0, counts.total() - MAX_VALUES)
    text = "Values of plug-ins that found no room here."
    return [gauges, counters, GaugeMetricFamily(LEFT_OUT, text, value=left_out)]


def _infos(fresh: Newest, known: Known) -> Metric:
    """Return what plug-ins say of their metrics, each once for all hosts of a tenant."""
    family = InfoMetricFamily(
        "dialer_plugin_metric", "What a plug-in says of a metric.", labels=["tenant", "plugin"]
    )
    said = {
        (newest.tenant_id, key[1], metric, *(about.get(word, "") for word in WORDS))
        for key, newest in fresh.items()
        for metric, about in known.get(key, {}).items()
    }
    for tenant_id, plugin, metric, kind, unit, sentence in sorted(said)[:MAX_INFOS]:
        words = {"metric": metric, "kind": kind or "gauge", "unit": unit, "help": sentence}
        family.add_metric([tenant_id, plugin], words)
    return family


def register() -> None:
    """Have /metrics show them."""
    tenant_metrics.add("plug-ins", read)
    figures.add(
        figures.Figure(
            "plugin_dropped",
            "What plug-ins brought that found no room, since the start of the process.",
            lambda: dict(store.dropped),
            label="kind",
            is_counter=True,
        )
    )
    figures.add(
        figures.Figure(
            "plugin_refused_requests",
            "Requests with samples that were too large or too many, since the start.",
            lambda: dict(refused_requests),
            label="code",
            is_counter=True,
        )
    )
