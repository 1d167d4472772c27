"""Cancel: at once for what has not started, as an order to the host for what has.

The wish is stored (`cancel_requested_at`, phase canceling) and repeated by every
reconciliation until the host reports the end, so it survives restarts of both sides
(R17). A task that ends by itself first keeps its own end.
"""

from __future__ import annotations

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
        if found.phase != Phase.CANCELING:
            _cancel([found], by)
            audit.record(by, "task.cancel", found)
    return found


def cancel_tasks(task_ids: Sequence[int], *, by: Principal) -> list[Task]:
    """Cancel those of the tenant's tasks that have not ended; raises NotFound for unknown ids."""
    if not isinstance(task_ids, list | tuple) or not all(type(one) is int for one in task_ids):
        raise Invalid(_("Must be a list of task ids."), fields={"ids": [_("A list of task ids.")]})
    if len(task_ids) > MAX_BATCH:
        sentence = _("At most %(limit)d tasks.") % {"limit": MAX_BATCH}
        raise Invalid(sentence, fields={"ids": [sentence]})
    with write_transaction():
        found = lock_tasks(task_ids)
        tasks = [task for task in found.values() if task.tenant_id == by.tenant_id]
        missing = set(task_ids) - {task.pk for task in tasks}
        if missing:
            names = ", ".join(f"#{number}" for number in sorted(missing)[:10])
            raise NotFound(_("There is no such task: %(ids)s") % {"ids": names})
        open_tasks = [t for t in tasks if not t.is_final and t.phase != Phase.CANCELING]
        _cancel(open_tasks, by)
        if open_tasks:
            detail = {"ids": [task.pk for task in open_tasks]}
            audit.record(by, "task.cancel_batch", detail=detail)
    return tasks


def _cancel(tasks: Sequence[Task], by: Actor) -> None:
    """Move locked tasks towards canceled and arrange what hosts are told."""
    actor = by.name if isinstance(by, Principal) else by
    running = [task for task in tasks if task.status == Status.RUNNING]
    waiting = [task for task in tasks if task.status != Status.RUNNING]
    offered = [task for task in waiting if task.state == OFFERED]
    now = timezone.now()
    wish = {"cancel_requested_at": now, "cancel_requested_by": actor[:200]}
    end = {**wish, "reason": Reason.USER_CANCEL, "end_time": now}
    move_all([Move(task, CANCELED, "canceled", actor, end) for task in waiting])
    move_all([Move(task, CANCELING, "cancel_requested", actor, wish) for task in running])
    tenants = settle(waiting) | {task.tenant_id for task in offered}
    for task in offered:
        ref = TaskRef(task_id=task.pk, offer=task.offer)
        _after_commit(task, Revoked(message_id=next_message_id(), tasks=(ref,)))
    _order_stop(running)
    for tenant_id in tenants:
        offer_waiting(tenant_id)


def _order_stop(tasks: Iterable[Task]) -> None:
    """Tell each host once, after the commit, to stop its tasks."""
    orders: dict[str, list[CancelOrder]] = {}
    by_agent: dict[str, Task] = {}
    for task in tasks:
        order = CancelOrder(task_id=task.pk, offer=task.offer, reason=Reason.USER_CANCEL.value)
        orders.setdefault(task.agent_id or "", []).append(order)
        by_agent[task.agent_id or ""] = task
    for agent_id, batch in orders.items():
        message = CancelTasksBatch(message_id=next_message_id(), tasks=tuple(batch))
        _after_commit(by_agent[agent_id], message)


def _after_commit(task: Task, message: ServerMessage) -> None:
    """Send a message to the task's host once the transaction is committed."""
    if task.agent_id:
        transaction.on_commit(partial(delivery.deliver, task.agent_id, message))
