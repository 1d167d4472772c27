"""Metrics that belong to tenants: each is read for all of them, or for one alone.

Owns the readers that apps register. Promises that `text_of` a tenant holds nothing of
another one and nothing of the process, and that one failing reader costs its own metrics
only. Nothing is read between scrapes.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

logger = logging.getLogger(__name__)

Reader = Callable[[str | None], Iterable[Metric]]
"""Reads the metrics of one tenant, of all tenants for None; filtering is its own duty."""

_readers: dict[str, Reader] = {}


def add(name: str, reader: Reader) -> None:
    """Add a reader; the same name replaces the earlier one."""
    _readers[name] = reader


def text_of(tenant_id: str) -> bytes:
    """Return what one tenant may see, in Prometheus' format."""
    registry = CollectorRegistry()
    registry.register(TenantCollector(tenant_id))
    return generate_latest(registry)


class TenantCollector(Collector):
    """Asks all readers when Prometheus asks, for one tenant or for all."""

    def __init__(self, tenant_id: str | None) -> None:
        """Name the tenant; None is everybody."""
        self._tenant_id = tenant_id

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of every reader that can be read."""
        for name, reader in list(_readers.items()):
            try:
                # A list: half of a reader's metrics would look like values that went away.
                found = list(reader(self._tenant_id))
            except Exception:  # The others are still worth scraping, a broken database above all.
                logger.warning("metrics of tenants failed", exc_info=True, extra={"data": name})
                continue
            yield from found

    def describe(self) -> list[Metric]:
        """Say nothing at registration: nothing must be read then."""
        return []


REGISTRY.register(TenantCollector(None))
