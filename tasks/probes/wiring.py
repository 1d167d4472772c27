"""What of this app runs where: endpoints of agents, services of a server process, jobs."""

from __future__ import annotations

from agents import probe_duty
from dialer_platform import housekeeping, runtime
from dialer_platform.console import relay
from tasks.probes import provider, sets
from tasks.probes.services import run_requests

OLD_REQUESTS_SECONDS = 300.0


def connect() -> None:
    """Register everything; called once, when Django is ready."""
    probe_duty.register(provider.Provider())
    runtime.register("probe sets", start_sets, sets.stop)
    runtime.register("result writer", lambda: None, provider.writer.stop)
    housekeeping.register(
        "probes.old_requests", OLD_REQUESTS_SECONDS, run_requests.delete_old_requests
    )


def start_sets() -> None:
    """Hear of changes made in other processes, and keep the memory fresh."""
    relay.on(sets.CHANGED, sets.on_ring)
    sets.start()
