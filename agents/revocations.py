"""Ends the access of hosts that were revoked anywhere: another process, the admin, a shell.

Asked every two seconds by the flusher of each server process, so that a revocation holds
within five seconds also where no doorbell rings.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from agents import database_clock, delivery, hot
from agents.models import Agent

OVERLAP_SECONDS = 30.0
"""Looked at twice rather than missed: a slow transaction commits behind its time stamp."""

_seen: dict[str, datetime] = {}


def enforce() -> list[str]:
    """Close sockets and forget credentials of hosts revoked since the last call."""
    since = database_clock.now() - timedelta(seconds=OVERLAP_SECONDS)
    fresh = {
        agent_id: revoked_at
        for agent_id, revoked_at in Agent.objects.revoked_since(since)
        if _seen.get(agent_id) != revoked_at
    }
    for agent_id in fresh:
        delivery.end_access(agent_id)
        hot.forget(agent_id)
    for agent_id in [name for name, at in _seen.items() if at < since]:
        del _seen[agent_id]
    _seen.update(fresh)
    return list(fresh)
