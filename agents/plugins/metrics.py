"""The newest values of plug-ins for /metrics: `dialer_plugin_value{agent,plugin,metric}`.

Bounded, and only what came to this process lately: a host that left must not keep its last
value for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agents.plugins import store
from dialer_platform.console import figures

MAX_VALUES = 10_000
STALE_SECONDS = 600.0


class PluginCollector(Collector):
    """Reads the newest values when Prometheus asks."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Ask the clock for seconds since the epoch."""
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield one family with at most MAX_VALUES values."""
        family = GaugeMetricFamily(
            "dialer_plugin_value",
            "Newest value that a plug-in of an agent measured.",
            labels=["agent", "plugin", "metric"],
        )
        since, room = self._clock() - STALE_SECONDS, MAX_VALUES
        for (agent_id, plugin), newest in store.newest().items():
            if newest.at < since:
                continue
            for metric, value in newest.metrics.items():
                if not room:
                    yield family
                    return
                room -= 1
                family.add_metric([agent_id, plugin, metric], value)
        yield family

    def describe(self) -> list[Metric]:
        """Say nothing at registration: nothing must be read then."""
        return []


_collector = PluginCollector()


def register() -> None:
    """Add the figures, once for the process."""
    if _collector not in REGISTRY._collector_to_names:
        REGISTRY.register(_collector)
    figures.add(
        figures.Figure(
            "plugin_dropped",
            "What plug-ins brought that found no room, since the start of the process.",
            lambda: dict(store.dropped),
            label="kind",
            is_counter=True,
        )
    )
