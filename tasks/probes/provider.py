"""What the agents' endpoints ask about probes: the set of one host, and a place for results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent_client.protocol.probes import ProbeResult, ProbeSet
from agents import offload
from agents.principal import AgentPrincipal
from agents.probe_duty import Refusal
from tasks.probes import sets
from tasks.probes.ingest.writer import ResultWriter
from tasks.probes.services import stamps

writer = ResultWriter()


class Provider:
    """The app's side of `agents.probe_duty`."""

    def revision(self, agent_id: str) -> int:
        """Return the number of the agent's set, from memory."""
        return sets.duty(agent_id).revision

    async def probe_set(self, principal: AgentPrincipal) -> ProbeSet:
        """Return what the agent is to run now."""
        return await offload.run(sets.read_set, principal.agent_id, principal.tenant_id)

    def hosts_changed(self, tenant_id: str) -> None:
        """Ring for every process, as for a change of the probes."""
        stamps.stamp(tenant_id)

    async def store(
        self, principal: AgentPrincipal, results: Sequence[ProbeResult]
    ) -> list[Refusal]:
        """Store results and return those refused, after the commit; raises Unavailable."""
        return await asyncio.wrap_future(writer.put(principal, results))
