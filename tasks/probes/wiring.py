"""What of this app runs where: endpoints of agents, services of a server process, jobs."""

from __future__ import annotations

from agents import probe_duty
from dialer_platform import housekeeping, runtime
from dialer_platform.console import figures, relay
from tasks.probes import metrics, provider, sets
from tasks.probes.rollups import follower, retention
from tasks.probes.services import pushes, run_requests, states

JUDGE_SECONDS = 0.5
ADD_UP_SECONDS = 1.0
SILENCE_SECONDS = 5.0
RETENTION_SECONDS = 600.0
OLD_REQUESTS_SECONDS = 300.0


def connect() -> None:
    """Register everything; called once, when Django is ready."""
    probe_duty.register(provider.Provider())
    metrics.register()
    figures.add(
        figures.Figure(
            "probe_results",
            "Results by what became of them since the start of the process.",
            lambda: dict(provider.writer.counts),
            label="kind",
            is_counter=True,
        )
    )
    runtime.register("probe sets", start_sets, sets.stop)
    runtime.register("result writer", lambda: None, provider.writer.stop)
    housekeeping.register("probes.states", JUDGE_SECONDS, states.follow)
    housekeeping.register("probes.rollups", ADD_UP_SECONDS, follower.follow)
    housekeeping.register("probes.silence", SILENCE_SECONDS, states.watch_silence)
    housekeeping.register("probes.reports", SILENCE_SECONDS, pushes.judge_silence)
    housekeeping.register("probes.retention", RETENTION_SECONDS, retention.trim)
    housekeeping.register(
        "probes.old_requests", OLD_REQUESTS_SECONDS, run_requests.delete_old_requests
    )


def start_sets() -> None:
    """Hear of changes made in other processes, and keep the memory fresh."""
    relay.on(sets.CHANGED, sets.on_ring)
    sets.start()
