"""Who speaks: the authenticated identity of a host, taken from its credential only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AgentPrincipal:
    """One host in one tenant; epoch counts its connections, 0 before the first hello."""

    agent_id: str
    tenant_id: str
    epoch: int = 0

    def __str__(self) -> str:
        """Return the name written to the audit."""
        return f"agent:{self.agent_id}"
