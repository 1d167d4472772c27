"""Cancel: at once for what has not started, as an order to the host for what has.

The wish is stored (`cancel_requested_at`, phase canceling) and repeated by every
reconciliation until the host reports the end, so it survives restarts of both sides
(R17). A task that ends by itself first keeps its own end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from agent_client.protocol.messages import (
    CancelOrder,
    CancelTasksBatch,
    Revoked,
    ServerMessage,
    TaskRef,
)
from agents import delivery
from agents.reply import next_message_id
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid, NotFound
from dialer_platform.storage import write_transaction
from tasks.choices import CANCELED, CANCELING, OFFERED, Phase, Reason, Status
from tasks.models import Task
from tasks.services.dependencies import settle
from tasks.services.moves import Move, lock_tasks, move_all
from tasks.services.offering import offer_waiting

MAX_BATCH = 1_000

Actor = Principal | str


def cancel_task(task: Task, *, by: Actor) -> Task:
    """Cancel one task and return it as stored; raises Conflict when it has ended already.

    Cancelling again while it is being stopped changes nothing and is no error.
    """
    with write_transaction():
        found = lock_tasks([task.pk]).get(task.pk)
        if found is None:
            raise NotFound(_("There is no such task."))
        if found.is_final:
            raise Conflict(
                _("The task has ended already: %(status)s.")
                % {"status": Status(found.status).label},
                code="task_ended",
            )
        if _is_open(found):
            _cancel([found], by)
            audit.record(by, "task.cancel", found)
    return found


def cancel_tasks(task_ids: Sequence[int], *, by: Principal) -> list[Task]:
    """Cancel those of the tenant's tasks that have not ended; raises NotFound for unknown ids."""
    _check_ids(task_ids)
    with write_transaction():
        found = lock_tasks(task_ids)
        tasks = [task for task in found.values() if task.tenant_id == by.tenant_id]
        _check_known(task_ids, tasks)
        open_tasks = [task for task in tasks if _is_open(task)]
        if open_tasks:
            _cancel(open_tasks, by)
            detail = {"ids": [task.pk for task in open_tasks]}
            audit.record(by, "task.cancel_batch", detail=detail)
    return tasks


def _check_ids(task_ids: object) -> None:
    """Raise Invalid unless it is a list of at most MAX_BATCH ids."""
    sentence = ""
    if not isinstance(task_ids, list | tuple) or not all(map(_is_id, task_ids)):
        sentence = _("Must be a list of task ids.")
    elif len(task_ids) > MAX_BATCH:
        sentence = _("At most %(limit)d tasks.") % {"limit": MAX_BATCH}
    if sentence:
        raise Invalid(sentence, fields={"ids": [sentence]})


def _is_id(value: object) -> bool:
    """Return whether a value could be a task's id; larger numbers fit no column."""
    return type(value) is int and 0 <= value < 2**63


def _check_known(task_ids: Iterable[int], tasks: Iterable[Task]) -> None:
    """Raise NotFound when an id is none of the tenant's tasks."""
    missing = set(task_ids) - {task.pk for task in tasks}
    if missing:
        names = ", ".join(f"#{number}" for number in sorted(missing)[:10])
        raise NotFound(_("There is no such task: %(ids)s") % {"ids": names})


def _is_open(task: Task) -> bool:
    """Return whether a cancel would change anything about the task."""
    return not task.is_final and task.phase != Phase.CANCELING


def _cancel(tasks: Sequence[Task], by: Actor) -> None:
    """Move locked tasks towards canceled and arrange what hosts are told."""
    actor = by.name if isinstance(by, Principal) else by
    now = timezone.now()
    wish = {"cancel_requested_at": now, "cancel_requested_by": actor[:200]}
    end = {**wish, "reason": Reason.USER_CANCEL, "end_time": now}
    running = [task for task in tasks if task.status == Status.RUNNING]
    waiting = [task for task in tasks if task.status != Status.RUNNING]
    # Asked before the move, which makes them canceled like the others.
    offered = [task for task in waiting if task.state == OFFERED]
    move_all([Move(task, CANCELED, "canceled", actor, end) for task in waiting])
    move_all([Move(task, CANCELING, "cancel_requested", actor, wish) for task in running])
    _revoke(offered)
    _order_stop(running)
    # What was only offered has booked a slot until now.
    for tenant_id in settle(waiting) | {task.tenant_id for task in offered}:
        offer_waiting(tenant_id)


def _revoke(tasks: Iterable[Task]) -> None:
    """Tell each host, after the commit, that an offer is void."""
    for task in tasks:
        ref = TaskRef(task_id=task.pk, offer=task.offer)
        _after_commit(task.agent_id, Revoked(message_id=next_message_id(), tasks=(ref,)))


def _order_stop(tasks: Iterable[Task]) -> None:
    """Tell each host once, after the commit, to stop its tasks."""
    orders: dict[str | None, list[CancelOrder]] = defaultdict(list)
    for task in tasks:
        order = CancelOrder(task_id=task.pk, offer=task.offer, reason=Reason.USER_CANCEL.value)
        orders[task.agent_id].append(order)
    for agent_id, batch in orders.items():
        message = CancelTasksBatch(message_id=next_message_id(), tasks=tuple(batch))
        _after_commit(agent_id, message)


def _after_commit(agent_id: str | None, message: ServerMessage) -> None:
    """Send a message to a host once the transaction is committed."""
    if agent_id:
        transaction.on_commit(partial(delivery.deliver, agent_id, message))
