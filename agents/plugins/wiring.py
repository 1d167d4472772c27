"""What of plug-ins runs where: endpoints of agents, threads of a server process, jobs."""

from __future__ import annotations

from agents import endpoints, hot_flush
from agents.plugins import (
    descriptions,
    metrics,
    package_files,
    reports,
    retention,
    store,
    wanted,
)
from agents.plugins.endpoints import PACKAGES_PREFIX, find_package
from dialer_platform import housekeeping, runtime

RETENTION_SECONDS = 300.0
SWEEP_SECONDS = 3600.0


def connect() -> None:
    """Register everything; called once, when Django is ready."""
    endpoints.register_prefix(PACKAGES_PREFIX, find_package)
    hot_flush.register_reader("plug-ins", reports.take)
    # After the reports: a description is written to one that is there.
    hot_flush.register_reader("plug-in metrics", descriptions.write)
    metrics.register()
    runtime.register("plug-in sets", wanted.start, wanted.stop)
    runtime.register("plug-in samples", store.start, store.stop)
    housekeeping.register("plugins.retention", RETENTION_SECONDS, retention.trim)
    housekeeping.register("plugins.stray_packages", SWEEP_SECONDS, package_files.sweep)
