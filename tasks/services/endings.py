"""How tasks end: one final state each, and all that follows from it in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from agent_client.protocol.messages import Result
from agents.reply import Reply
from agents.services.sub_agents import EndedTask, close_sub_agents
from tasks.choices import CANCELED, COMPLETED, FAILED, Reason, State
from tasks.models import Task
from tasks.services.dependencies import settle
from tasks.services.moves import Move, move_all
from tasks.services.offering import offer_waiting

MAX_DETAIL_CHARACTERS = 1_000
REPORTED_REASONS = frozenset(Reason.values) - {Reason.NONE, Reason.DEPENDENCY_FAILED}


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one running task and who reported it."""

    task: Task
    to: State
    reason: str
    actor: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)

    def to_move(self) -> Move:
        """Return the move to the final state."""
        ended = {"reason": self.reason, "end_time": timezone.now(), **self.columns}
        detail = {"reason": self.reason, "exit_code": ended.get("exit_code")}
        return Move(self.task, self.to, self.to[0], self.actor, ended, detail)


def end_tasks(endings: Sequence[Ending], *, replies: Mapping[str, Reply] | None = None) -> None:
    """Write the ends, settle dependents, free the hosts and offer what fits now.

    Call it with locked tasks, in a transaction.
    """
    if not endings:
        return
    move_all([ending.to_move() for ending in endings])
    tasks = [ending.task for ending in endings]
    close_sub_agents(
        [EndedTask(task.agent_id, task.tenant_id, task.pk) for task in tasks if task.agent_id]
    )
    tenants = settle(tasks) | {task.tenant_id for task in tasks}
    for tenant_id in sorted(tenants):
        offer_waiting(tenant_id, replies=replies)


def ending_of(task: Task, result: Result, *, actor: str) -> Ending:
    """Return the end that an agent's result means."""
    now = timezone.now()
    started = task.start_time
    if started is None and result.started_at is not None:
        started = clamped(result.started_at, low=task.offered_at, high=now)
    return Ending(
        task,
        final_state(result),
        result.reason if result.reason in REPORTED_REASONS else Reason.EXIT,
        actor,
        {
            "start_time": started,
            "end_time": clamped(result.finished_at, low=started, high=now),
            "duration_seconds": max(result.duration_seconds, 0.0),
            "exit_code": result.exit_code,
            "signal": result.signal,
            "log_bytes": max(result.log_bytes, 0),
            "log_truncated_bytes": max(result.log_truncated_bytes, 0),
            "reason_detail": result.detail[:MAX_DETAIL_CHARACTERS],
            "unkillable": False,
        },
    )


def final_state(result: Result) -> State:
    """Return completed for exit code 0, canceled for an end by request, else failed."""
    if result.reason == Reason.USER_CANCEL:
        return CANCELED
    if result.reason == Reason.EXIT and result.exit_code == 0:
        return COMPLETED
    return FAILED


def clamped(seconds: float, *, low: datetime | None, high: datetime) -> datetime:
    """Return an agent's wall time as a moment the server can believe.

    Clocks of hosts may be wrong by years: nothing of a task happened before its offer or
    after now.
    """
    try:
        moment = datetime.fromtimestamp(seconds, tz=high.tzinfo)
    except (OverflowError, ValueError, OSError):
        return high
    if low is not None and moment < low:
        return low
    return min(moment, high)
