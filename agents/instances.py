"""One credential, one agent: notices when a second instance uses the same credential.

Hosts of this process are in its memory. With several processes the row tells of the
others' hosts; it is read off the loop, and only then.
"""

from __future__ import annotations

from typing import NamedTuple

from agents import connections, database_clock, hot, offload, pace
from agents.models import Agent
from agents.principal import AgentPrincipal
from dialer_platform.console import relay


class Stored(NamedTuple):
    """What the row says: which instance said hello last, and how long ago it spoke."""

    instance_id: str
    age_seconds: float


NOBODY = Stored("", float("inf"))


async def stored(principal: AgentPrincipal) -> Stored:
    """Return what the row says; NOBODY in a process that sees all hosts itself."""
    return await offload.run(_read, principal.agent_id) if relay.is_enabled() else NOBODY


def speaks_here(principal: AgentPrincipal, instance_id: str) -> bool:
    """Return whether this very instance spoke to this process within the time of silence."""
    known = hot.snapshot(principal.agent_id)
    return (
        known is not None
        and known.instance_id == instance_id
        and known.age_seconds < pace.silence_seconds()
    )


def is_other_alive(principal: AgentPrincipal, instance_id: str, elsewhere: Stored = NOBODY) -> bool:
    """Return whether a different instance of the agent spoke within the time of silence."""
    if not instance_id:
        return False
    known = hot.snapshot(principal.agent_id)
    if known and known.instance_id not in {"", instance_id}:
        return connections.is_connected(principal.agent_id) or (
            known.age_seconds < pace.silence_seconds()
        )
    if elsewhere.instance_id in {"", instance_id} or speaks_here(principal, instance_id):
        return False
    return elsewhere.age_seconds < pace.silence_seconds()


def _read(agent_id: str) -> Stored:
    """Read the row."""
    columns = ("instance_id", "last_heartbeat_time")
    row = Agent.objects.filter(id=agent_id).values_list(*columns).first()
    if row is None or row[1] is None:
        return NOBODY
    return Stored(row[0], (database_clock.now() - row[1]).total_seconds())
