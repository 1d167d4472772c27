"""Periodic work of this app; each job is bounded, and harmless when called twice."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from agents import database_clock, history
from agents.distribution import releases
from agents.models import Agent, EnrolmentToken
from agents.services import presence, rollouts, sub_agents
from dialer_platform import housekeeping
from dialer_platform.storage import write_transaction

log = logging.getLogger("dialer.agents.housekeeping")

SILENCE_CHECK_SECONDS = 2.0
ROLLOUT_CHECK_SECONDS = 2.0
HOUR_SECONDS = 3600.0
KEEP_TOKENS = timedelta(days=30)
KEEP_FOREIGN_FILES_SECONDS = 30 * 24 * 3600


def register() -> None:
    """Add the jobs to the installation's list."""
    housekeeping.register("agents: silent hosts", SILENCE_CHECK_SECONDS, mark_silent)
    housekeeping.register("agents: roll-outs", ROLLOUT_CHECK_SECONDS, rollouts.advance_all)
    housekeeping.register("agents: old releases", HOUR_SECONDS, delete_old_releases)
    housekeeping.register("agents: history files", HOUR_SECONDS, trim_history)
    housekeeping.register("agents: old tokens", HOUR_SECONDS, delete_old_tokens)
    housekeeping.register("agents: ended sub-agents", 60.0, sub_agents.delete_old_sub_agents)


def mark_silent() -> None:
    """Mark hosts offline whose beats stopped."""
    silent = presence.mark_silent_agents()
    if silent:
        log.info("hosts went offline", extra={"data": {"agents": silent[:50]}})


def delete_old_releases() -> list[str]:
    """Delete wheels beyond the newest few that no host is to run or to go back to."""
    gone = releases.prune(rollouts.digests_in_use())
    if gone:
        log.info("old releases were deleted", extra={"data": {"versions": gone}})
    return gone


def trim_history() -> None:
    """Keep seven days of each host's history; delete files of hosts that are long gone."""
    known = set(Agent.objects.hosts().values_list("id", flat=True))
    for path in history.files():
        try:
            age_seconds = time.time() - path.stat().st_mtime
            if path.stem not in known and age_seconds > KEEP_FOREIGN_FILES_SECONDS:
                path.unlink()
            else:
                history.trim(path.stem)
        except OSError:
            log.exception("a history file could not be trimmed")


def delete_old_tokens() -> int:
    """Delete enrolment tokens that expired a month ago; the audit keeps their making."""
    with write_transaction():
        deleted, _ = EnrolmentToken.objects.filter(
            expires_at__lt=database_clock.now() - KEEP_TOKENS
        ).delete()
    return deleted
