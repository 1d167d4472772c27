"""What of this app runs where: inbox handlers, services of a server process, periodic jobs."""

from __future__ import annotations

from agent_client.protocol.messages import Accepted, Flagged, Refused, Result, Started
from agents import endpoints, hot_flush, inbox
from dialer_platform import housekeeping, runtime
from tasks.files import endpoints as file_endpoints
from tasks.logs import usage
from tasks.samples import curves
from tasks.services import (
    log_intake,
    losses,
    offering,
    progress,
    reconcile,
    runs,
    stored_files,
    submit,
)

OFFER_PASS_SECONDS = 1.0
EXPIRE_OFFERS_SECONDS = 5.0
LOST_AGENTS_SECONDS = 2.0
OLD_KEYS_SECONDS = 3600.0
OLD_FILES_SECONDS = 600.0
LOG_USAGE_SECONDS = 600.0


def connect() -> None:
    """Register everything; called once, when Django is ready."""
    inbox.register(Accepted, runs.accept)
    inbox.register(Refused, runs.refuse)
    inbox.register(Started, runs.start)
    inbox.register(Flagged, runs.flag)
    inbox.register(Result, runs.finish)
    inbox.register_beat(reconcile.reconcile)
    inbox.register_log_sink(log_intake.take_chunk)
    endpoints.register_log_put(log_intake.take_raw)
    endpoints.register_prefix(file_endpoints.PREFIX, file_endpoints.find)
    hot_flush.register_reader("task samples", curves.take)
    runtime.register("task progress", progress.start, progress.stop)
    housekeeping.register("tasks.offer", OFFER_PASS_SECONDS, offering.offer_everywhere)
    housekeeping.register(
        "tasks.expired_offers", EXPIRE_OFFERS_SECONDS, offering.withdraw_expired_offers
    )
    housekeeping.register("tasks.lost_agents", LOST_AGENTS_SECONDS, losses.give_up_lost_agents)
    housekeeping.register("tasks.log_usage", LOG_USAGE_SECONDS, usage.measure)
    housekeeping.register("tasks.old_keys", OLD_KEYS_SECONDS, submit.delete_old_keys)
    housekeeping.register("tasks.old_files", OLD_FILES_SECONDS, stored_files.remove_expired)
