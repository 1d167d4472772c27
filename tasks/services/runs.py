"""What hosts say about tasks: accepted, refused, started, flagged, result.

Handlers of the agents' inbox: each gets all waiting messages of its kind, runs inside the
writer's transaction, and is answered and acknowledged only after the commit. A message
counts only for the agent and the offer that the row names; anything older changes
nothing and is answered so that the agent lets go (R3, R9).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from django.utils import timezone

from agent_client.protocol.messages import (
    Accepted,
    CancelOrder,
    Desired,
    Flagged,
    Refused,
    Result,
    Started,
)
from agent_client.protocol.record import Step, on_accepted, on_refused, on_result, on_started
from agents.inbox import AgentPrincipal, Incoming
from agents.reply import Reply
from agents.services.sub_agents import StartedTask, open_sub_agents
from tasks import events
from tasks.choices import RUNNING, STARTING, Reason
from tasks.models import Task
from tasks.services.endings import Ending, clamped, end_tasks, ending_of
from tasks.services.forgetting import release
from tasks.services.moves import Move, lock_tasks, move_all, record_events
from tasks.services.offering import offer_waiting, withdrawal
from tasks.services.policy_audit import note_ended, note_refused
from tasks.services.records import record_of
from tasks.services.refusals import refusals


def accept(batch: Sequence[Incoming]) -> None:
    """Commit confirmed offers and say `go`; void those that are no longer wanted."""
    tasks = _tasks_of(batch)
    moves: dict[int, Move] = {}
    for principal, raw, reply in batch:
        message = cast(Accepted, raw)
        task = tasks.get(message.task_id)
        step = on_accepted(record_of(task, principal, message.offer))
        if task is None or step is Step.REVOKE:
            reply.revoke(message.task_id, message.offer)
        elif step is Step.CANCEL:
            reply.cancel(cancel_order(task))
        else:
            reply.go(task.pk, task.offer)
            if step is Step.COMMIT:
                moves[task.pk] = Move(task, STARTING, "accepted", str(principal))
    move_all(list(moves.values()))


def refuse(batch: Sequence[Incoming]) -> None:
    """Put refused offers back into the queue and try other hosts at once."""
    tasks = _tasks_of(batch)
    moves: dict[int, Move] = {}
    for principal, raw, _reply in batch:
        message = cast(Refused, raw)
        task = tasks.get(message.task_id)
        step = on_refused(record_of(task, principal, message.offer))
        if task is not None and step is Step.WITHDRAW:
            refusals.note(task.pk, principal.agent_id, message.detail[:500])
            note_refused(task, principal, message)
            detail = {"code": message.code[:80], "detail": message.detail[:500]}
            moves[task.pk] = withdrawal(task, kind="refused", actor=str(principal), detail=detail)
    move_all(list(moves.values()))
    for tenant_id in sorted({one.task.tenant_id for one in moves.values()}):
        offer_waiting(tenant_id, replies=replies_of(batch))


def start(batch: Sequence[Incoming]) -> None:
    """Note that scripts run, and give each its sub-agent."""
    tasks = _tasks_of(batch)
    moves: dict[int, Move] = {}
    now = timezone.now()
    for principal, raw, _reply in batch:
        message = cast(Started, raw)
        task = tasks.get(message.task_id)
        step = on_started(record_of(task, principal, message.offer))
        if task is None or step is Step.NOTHING:
            continue
        started = clamped(message.started_at, low=task.offered_at, high=now)
        detail = {"pid": message.pid}
        if step is Step.NOTE_RUNNING:
            changes = {"start_time": started}
            moves[task.pk] = Move(task, RUNNING, "started", str(principal), changes, detail)
        else:
            Task.objects.filter(pk=task.pk).update(start_time=started)
            record_events([(task, "started", str(principal), detail)])
    move_all(list(moves.values()))
    running = [one.task for one in moves.values()]
    if running:
        open_sub_agents(
            [
                StartedTask(task.agent_id or "", task.tenant_id, task.pk, task.name, task.cpu_cores)
                for task in running
            ]
        )


def flag(batch: Sequence[Incoming]) -> None:
    """Note facts beside the state: processes that survive KILL."""
    tasks = _tasks_of(batch)
    for principal, raw, _reply in batch:
        message = cast(Flagged, raw)
        task = tasks.get(message.task_id)
        record = record_of(task, principal, message.offer)
        if task is None or record is None or not record.is_own or record.phase == "ended":
            continue
        if task.unkillable == message.unkillable:
            continue
        Task.objects.filter(pk=task.pk).update(unkillable=message.unkillable)
        task.unkillable = message.unkillable
        kind = "unkillable" if message.unkillable else "killed_at_last"
        record_events([(task, kind, str(principal), {"detail": message.detail[:500]})])
        events.tasks_changed([task.pk], tenant_id=task.tenant_id)


def finish(batch: Sequence[Incoming]) -> None:
    """Write final states; the agent may forget a task once its log is stored as well."""
    tasks = _tasks_of(batch)
    endings: dict[int, Ending] = {}
    for principal, raw, reply in batch:
        result = cast(Result, raw)
        task = tasks.get(result.task_id)
        step = on_result(record_of(task, principal, result.offer))
        if task is None or step is Step.NOTHING:
            continue
        if step is Step.FORGET:
            reply.want(Desired(task_id=result.task_id, offer=result.offer, want="forget"))
            continue
        if step is Step.END:
            endings.setdefault(task.pk, ending_of(task, result, actor=str(principal)))
            note_ended(task, principal, result)
        elif step is Step.NOTE_LATE:
            _note_late_result(task, principal, result)
        release(task, reply, log_bytes=result.log_bytes)
    end_tasks(list(endings.values()), replies=replies_of(batch))


def cancel_order(task: Task, reason: str = Reason.USER_CANCEL.value) -> CancelOrder:
    """Return the order to stop a task."""
    return CancelOrder(task_id=task.pk, offer=task.offer, reason=reason)


def replies_of(batch: Sequence[Incoming]) -> dict[str, Reply]:
    """Return the answer being made for each agent of the batch."""
    return {principal.agent_id: reply for principal, _message, reply in batch}


def _tasks_of(batch: Sequence[Incoming]) -> dict[int, Task]:
    """Return the locked tasks that the messages name."""
    return lock_tasks({cast(Accepted, incoming.message).task_id for incoming in batch})


def _note_late_result(task: Task, principal: AgentPrincipal, result: Result) -> None:
    """Keep what a host says that came back after its task was given up; the end stays."""
    detail = {"reason": result.reason[:32], "exit_code": result.exit_code, "signal": result.signal}
    record_events([(task, "late_result", str(principal), detail)])
