"""When a host may forget a task: its end is committed and every byte of its log is stored.

Result and log travel on different roads; whichever comes second lets the host forget.
Promises that `forget` never leaves before the commit of the end.
"""

from __future__ import annotations

from functools import partial

from django.db import transaction

from agent_client.protocol.messages import Desired, Reconcile
from agents import delivery
from agents.reply import Reply, next_message_id
from tasks.logs import tails
from tasks.logs.files import reader
from tasks.logs.tails import Awaited
from tasks.models import Task


def release(task: Task, reply: Reply, *, log_bytes: int) -> None:
    """Let the host forget an ended task, or say which log bytes are still missing.

    Call it in the transaction that writes, or has read, the task's end.
    """
    stored = reader(task.pk).size() if log_bytes > 0 else 0
    if stored >= log_bytes:
        reply.want(Desired(task_id=task.pk, offer=task.offer, want="forget"))
        return
    reply.log_next(task.pk, task.offer, stored)
    awaited = Awaited(task.pk, task.offer, task.agent_id or "", log_bytes)
    transaction.on_commit(partial(_await_tail, awaited))


def note_stored(task_id: int, stored: int) -> None:
    """Let the host forget an ended task if these were its last missing bytes."""
    awaited = tails.completed(task_id, stored)
    if awaited is not None:
        desired = Desired(task_id=task_id, offer=awaited.offer, want="forget")
        message = Reconcile(message_id=next_message_id(), desired=(desired,))
        delivery.deliver(awaited.agent_id, message)


def _await_tail(awaited: Awaited) -> None:
    """Wait for the rest of a log; it may have been stored in the meantime."""
    tails.expect(awaited)
    note_stored(awaited.task_id, reader(awaited.task_id).size())
