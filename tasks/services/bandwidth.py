"""How fast a transfer may be, changed while it waits or runs.

The wish stands with the transfer's options, so a rerun keeps it. A host is told at once, and
again by every reconciliation until what it holds has that limit: a lost message, a restart
of either side and a start in between all heal with the next list of what it holds.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from agent_client.protocol.messages import BandwidthOrder, Reconcile
from agents import delivery
from agents.reply import next_message_id
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, NotFound
from dialer_platform.storage import write_transaction
from tasks import events
from tasks.choices import Status
from tasks.files.orders import FIELDS, clean_bandwidth
from tasks.models import FileTransfer, Task
from tasks.services.moves import lock_tasks, record_events

OPTION = "bandwidth_mb"


def change_bandwidth(task: Task, *, by: Principal, bandwidth_mb: Any) -> Task:
    """Give a transfer another limit of its own in MB/s, 0 for none; returns the task.

    Raises Invalid for what is no limit, Conflict for a task that moves no content or has ended.
    """
    wanted = clean_bandwidth(bandwidth_mb)
    with write_transaction():
        found = lock_tasks([task.pk]).get(task.pk)
        if found is None:
            raise NotFound(_("There is no such task."))
        if OPTION not in FIELDS.get(task.kind, ()):
            raise Conflict(_("This task has no bandwidth to limit."))
        if found.is_final:
            status = {"status": Status(found.status).label}
            sentence = _("The task has ended already: %(status)s.") % status
            raise Conflict(sentence, code="task_ended")
        _store(found, wanted, by)
    return found


def bandwidths_of(task_ids: Collection[int]) -> dict[int, float]:
    """Return the limit that each of these transfers is to have, in MB/s."""
    if not task_ids:
        return {}
    rows = FileTransfer.objects.filter(task__in=task_ids).values_list("task_id", "options")
    return {task_id: float(options.get(OPTION) or 0) for task_id, options in rows}


def order_for(task: Task, bandwidth_mb: float) -> BandwidthOrder:
    """Return the order that brings a transfer to a limit."""
    return BandwidthOrder(task_id=task.pk, offer=task.offer, bandwidth_mb=bandwidth_mb)


def _store(task: Task, wanted: float, by: Principal) -> None:
    """Write the wish down, and arrange that the host and the pages hear of it."""
    transfer = FileTransfer.objects.get(task_id=task.pk)
    before = float(transfer.options.get(OPTION) or 0)
    transfer.options[OPTION] = wanted
    transfer.save(update_fields=["options"])
    Task.objects.filter(pk=task.pk).update(version=F("version") + 1)
    detail = {OPTION: wanted, "before_mb": before}
    record_events([(task, "bandwidth_changed", by.name, detail)])
    audit.record(by, "file.bandwidth", task, detail)
    events.tasks_changed([task.pk], tenant_id=task.tenant_id)
    if task.status == Status.RUNNING and task.agent_id:
        orders = (order_for(task, wanted),)
        message = Reconcile(message_id=next_message_id(), bandwidths=orders)
        transaction.on_commit(partial(delivery.deliver, task.agent_id, message))
