"""Stores what hosts say of themselves while they are connected; an inbox handler."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from agent_client.protocol.messages import SystemNews
from agents import database_clock, events
from agents.inbox_registry import Incoming
from agents.models import Agent
from agents.system_changes import with_changes
from agents.system_facts import bounded_system


def note(batch: Sequence[Incoming]) -> None:
    """Replace the facts of each host by its news, and note what changed."""
    now = database_clock.now()
    rows = Agent.objects.hosts().in_bulk([one.principal.agent_id for one in batch])
    changed: dict[str, list[str]] = defaultdict(list)
    for principal, message, reply in batch:
        row = rows.get(principal.agent_id)
        if row is None or not isinstance(message, SystemNews):
            reply.error(message.message_id, "unknown_agent", "There is no such agent.")
            continue
        # Kept on the row as well: a batch may hold two of one host.
        row.system = with_changes(row.system, bounded_system(message.system), now=now)
        Agent.objects.filter(id=row.id).update(system=row.system)
        changed[row.tenant_id].append(row.id)
    for tenant_id, agent_ids in changed.items():
        events.agents_changed(tenant_id, agent_ids)
