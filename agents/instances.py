"""One credential, one agent: notices when a second instance uses the same credential."""

from __future__ import annotations

from agents import connections, hot, pace
from agents.principal import AgentPrincipal


def is_other_alive(principal: AgentPrincipal, instance_id: str) -> bool:
    """Return whether a different instance of the agent spoke within the time of silence."""
    known = hot.snapshot(principal.agent_id)
    if not instance_id or not known or known.instance_id in {"", instance_id}:
        return False
    return connections.is_connected(principal.agent_id) or (
        known.age_seconds < pace.silence_seconds()
    )
