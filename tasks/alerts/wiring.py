"""What of the alerts runs where: sources of problems, periodic jobs, the sender."""

from __future__ import annotations

from django.utils import timezone

from dialer_platform import housekeeping, runtime
from tasks.alerts import probe_sources, problems, sender, sources
from tasks.alerts.services import cleaning, evaluate, outbox

EVALUATE_SECONDS = 1.0
RELEASE_SECONDS = 30.0
CLEAN_SECONDS = 3600.0


def connect() -> None:
    """Register everything; called once, when Django is ready."""
    problems.register("agents", sources.lost_agents)
    problems.register("tasks", sources.failed_tasks)
    problems.register("probes down", probe_sources.probes_down)
    problems.register("probes impaired", probe_sources.probes_impaired)
    problems.register("certificates", probe_sources.expiring_certificates)
    housekeeping.register("alerts.evaluate", EVALUATE_SECONDS, evaluate.evaluate)
    housekeeping.register("alerts.release", RELEASE_SECONDS, _release)
    housekeeping.register("alerts.clean", CLEAN_SECONDS, cleaning.clean)
    runtime.register("alert sender", sender.start, sender.stop)


def _release() -> int:
    """Give back what a dead sender held."""
    return outbox.release_stale(timezone.now())
