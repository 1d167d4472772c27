"""The newest values of plug-ins for /metrics: `dialer_plugin_value`.

Bounded, and only what came to this process lately: a host that left must not keep its last
value for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import GaugeMetricFamily

from agents.plugins import store
from dialer_platform.console import figures, tenant_metrics

MAX_VALUES = 10_000
STALE_SECONDS = 600.0


def read(
    tenant_id: str | None, *, clock: Callable[[], float] = time.time
) -> Iterator[GaugeMetricFamily]:
    """Yield the values of a tenant's plug-ins, of all tenants' for None; at most MAX_VALUES."""
    family = GaugeMetricFamily(
        "dialer_plugin_value",
        "Newest value that a plug-in of an agent measured.",
        labels=["tenant", "agent", "plugin", "metric"],
    )
    since, room = clock() - STALE_SECONDS, MAX_VALUES
    for (agent_id, plugin), newest in store.newest().items():
        if newest.at < since or tenant_id not in (None, newest.tenant_id):
            continue
        for metric, value in list(newest.metrics.items())[:room]:
            room -= 1
            family.add_metric([newest.tenant_id, agent_id, plugin, metric], value)
    yield family


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
