"""A row as the protocol's tables take it: seen from one host and one of its offers."""

from __future__ import annotations

from typing import cast

from agent_client.protocol.record import UNDER_WAY, Phase, Record
from agents.principal import AgentPrincipal
from tasks.choices import OFFERED, Reason
from tasks.models import Task


def record_of(task: Task | None, principal: AgentPrincipal, offer: int) -> Record | None:
    """Return the record of a task, None when the host's tenant has no such task."""
    if task is None or task.tenant_id != principal.tenant_id:
        return None
    return Record(
        phase=phase_of(task),
        is_own=task.agent_id == principal.agent_id and task.offer == offer,
        has_started=task.start_time is not None,
        is_given_up=task.reason == Reason.AGENT_LOST,
    )


def phase_of(task: Task) -> Phase:
    """Return the protocol's phase of a task."""
    if task.is_final:
        return "ended"
    if task.state == OFFERED:
        return "offered"
    phase = cast(Phase, str(task.phase))
    return phase if phase in UNDER_WAY else "queued"
