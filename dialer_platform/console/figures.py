"""Figures for /metrics: functions read at each scrape, none of them kept or counted here.

Apps add theirs in `panels.py`. Promises that one failing function costs its own figure
only, and that nothing is read between scrapes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from dialer_platform.console import live, relay

logger = logging.getLogger(__name__)

Values = float | Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric: `read` returns its value, or its values by the one label."""

    name: str
    help: str
    read: Callable[[], Values]
    label: str = ""
    is_counter: bool = False


_figures: dict[str, Figure] = {}


def add(figure: Figure) -> None:
    """Add a figure; the same name replaces the earlier one."""
    _figures[figure.name] = figure


class FiguresCollector(Collector):
    """Reads the registered figures when Prometheus asks."""

    def collect(self) -> Iterator[Metric]:
        """Yield one metric for each figure that can be read."""
        for figure in list(_figures.values()):
            try:
                values = figure.read()
            except Exception:  # The others are still worth scraping, a broken database above all.
                logger.warning("a figure failed", exc_info=True, extra={"data": figure.name})
                continue
            yield metric_of(figure, values)

    def describe(self) -> list[Metric]:
        """Say nothing at registration: nothing must be read then."""
        return []


def metric_of(figure: Figure, values: Values) -> Metric:
    """Return the values in the shape that prometheus_client writes."""
    family = CounterMetricFamily if figure.is_counter else GaugeMetricFamily
    metric = family(
        f"dialer_{figure.name}", figure.help, labels=[figure.label] if figure.label else None
    )
    if isinstance(values, Mapping):
        for name, value in values.items():
            metric.add_metric([name], value)
    else:
        metric.add_metric([], values)
    return metric


REGISTRY.register(FiguresCollector())
add(Figure("live_subscriptions", "Topics watched by open pages.", live.count_subscriptions))
add(
    Figure(
        "relay_dropped_notes",
        "Notes to other server processes dropped because the queue was full.",
        relay.count_dropped,
        is_counter=True,
    )
)
