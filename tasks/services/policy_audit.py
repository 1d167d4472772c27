"""What a host's own policy refused stands in the audit, once for each reason and task.

Call these inside the transaction of the act. A host refuses again whenever it is asked
again, once a minute at last: only its first words about a task are kept.
"""

from __future__ import annotations

from agent_client.protocol.messages import Refused, Result
from agent_client.protocol.transfers import POLICY_DENIED_EXIT
from agents.principal import AgentPrincipal
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.accounts.services import audit
from tasks.models import Task

POLICY_DENIED = "policy_denied"
ACTION = "policy.refused"
MAX_REASON_CHARACTERS = 500


def note_refused(task: Task, principal: AgentPrincipal, message: Refused) -> None:
    """Record that a host did not take a task because its policy forbids it."""
    if message.code == POLICY_DENIED:
        _record(task, principal, message.detail[:MAX_REASON_CHARACTERS])


def note_ended(task: Task, principal: AgentPrincipal, result: Result) -> None:
    """Record that a host's policy did not let a transfer reach its path."""
    if task.moves_a_file and result.exit_code == POLICY_DENIED_EXIT:
        _record(task, principal, f"{task.kind}: the path is not allowed")


def _record(task: Task, principal: AgentPrincipal, reason: str) -> None:
    detail = {"kind": "task", "agent_id": principal.agent_id, "reason": reason}
    # Compared here: databases differ in how they look into JSON, and a task has few entries.
    said = AuditEvent.objects.filter(
        object_type=Task._meta.label_lower, object_id=str(task.pk), action=ACTION
    )
    if detail not in said.values_list("detail", flat=True):
        audit.record(str(principal), ACTION, task, detail)
