"""Offers: gives waiting tasks to hosts with room, in the transaction that made the room.

Nothing starts on an offer: the host confirms, the server commits, then says `go`. So an
offer that nobody confirms may be taken back by a timer. A change calls `offer_waiting`
in its own transaction; housekeeping calls `offer_everywhere` for what no change announced.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from agent_client.protocol.messages import TasksBatch, TaskSpec
from agents import database_clock, delivery
from agents.reply import Reply, next_message_id
from dialer_platform.storage import write_transaction
from tasks.choices import OFFERED, QUEUED, Phase, Status
from tasks.hot_reads import SPEC_COLUMNS, lock_rows, need_rows
from tasks.matching import Grant, Host, match
from tasks.models import Task
from tasks.services.fleet_rooms import bookings_of, hosts_of, needs_from
from tasks.services.moves import Move, lock_tasks, move_all
from tasks.services.offer_lock import try_lock, wait_for_lock
from tasks.services.refusals import refusals
from tasks.services.specs import spec_of

log = logging.getLogger("dialer.tasks.offering")

OFFER_SECONDS = 30
"""An offer that is not confirmed within this time goes back to the queue."""
CONSIDERED_AT_ONCE = 1_000
"""Waiting tasks looked at when something changed: a pass rides in that change's transaction."""
CONSIDERED_BY_HOUSEKEEPING = 10_000
"""Looked at each second, so that a task behind many that fit nowhere waits no longer."""
MAX_OFFERS_A_PASS = 500
MAX_BATCH_BYTES = 8 * 1024 * 1024
"""Scripts in one message to an agent; a batch over it is split."""


def offer_waiting(
    tenant_id: str,
    *,
    replies: Mapping[str, Reply] | None = None,
    considered: int = CONSIDERED_AT_ONCE,
) -> int:
    """Offer what fits now to the tenant's hosts; returns how many tasks were offered.

    Agents in `replies` get their offers in the answer that is being made for them, the
    others by delivery after the commit.
    """
    if next(need_rows(tenant_id, limit=1), None) is None:
        return 0  # Nobody waits: most ends of tasks come through here.
    hosts = hosts_of(tenant_id)
    if not any(host.takes_tasks for host in hosts):
        return 0
    with write_transaction():
        if not try_lock(tenant_id):
            # Another pass may have looked before this change: look again after the commit.
            transaction.on_commit(partial(_offer_afterwards, tenant_id, considered))
            return 0
        grants = _plan(tenant_id, hosts, considered=considered)
        return len(_offer(grants, replies or {}))


def find_task_for_agent(agent_id: str, *, tenant_id: str) -> Task | None:
    """Offer the most urgent task that fits the host's free resources; None if none does."""
    hosts = [host for host in hosts_of(tenant_id) if host.agent_id == agent_id]
    with write_transaction():
        wait_for_lock(tenant_id)
        offered = _offer(_plan(tenant_id, hosts, limit=1), {})
    return offered[0] if offered else None


def offer_everywhere() -> int:
    """Offer what no event announced: back-offs that ended, hosts that came back.

    Looks before it locks: without a match no write transaction is opened.
    """
    tenants = Task.objects.runnable().order_by().values_list("tenant_id", flat=True).distinct()
    deep = CONSIDERED_BY_HOUSEKEEPING
    return sum(
        offer_waiting(tenant_id, considered=deep)
        for tenant_id in list(tenants)
        if _plan(tenant_id, hosts_of(tenant_id), considered=deep, limit=1)
    )


def withdraw_expired_offers() -> int:
    """Put offers that nobody confirmed back into the queue; returns how many."""
    with write_transaction():
        return withdraw_offers_before(timezone.now() - timedelta(seconds=OFFER_SECONDS))


def withdraw_offers_before(moment: datetime) -> int:
    """Put offers made before the moment back into the queue, in the caller's transaction."""
    # What lies in the future was offered before the clock was set back, nobody knows when.
    future = timezone.now() + database_clock.TOLERANCE
    late = Task.objects.filter(
        Q(offered_at__lt=moment) | Q(offered_at__gt=future),
        status=Status.WAITING,
        phase=Phase.OFFERED,
    ).values_list("id", flat=True)
    tasks = [task for task in lock_tasks(list(late)).values() if task.state == OFFERED]
    for task in tasks:
        refusals.note(task.pk, task.agent_id or "")
    move_all([withdrawal(task, kind="offer_expired") for task in tasks])
    return len(tasks)


def withdrawal(task: Task, *, kind: str, actor: str = "", detail: object = None) -> Move:
    """Return the move of an offered task back into the queue."""
    agent_id = task.agent_id
    return Move(
        task,
        QUEUED,
        kind,
        actor,
        changes={"agent_id": None, "gpu_ids": [], "offered_at": None},
        detail={"agent_id": agent_id, **(detail if isinstance(detail, Mapping) else {})},
    )


def _offer_afterwards(tenant_id: str, considered: int) -> None:
    """Make the pass that another process was just making."""
    with write_transaction():
        wait_for_lock(tenant_id)
        _offer(_plan(tenant_id, hosts_of(tenant_id), considered=considered), {})


def _plan(
    tenant_id: str,
    hosts: Sequence[Host],
    *,
    considered: int = CONSIDERED_AT_ONCE,
    limit: int = MAX_OFFERS_A_PASS,
) -> list[Grant]:
    """Return the offers that could be made now; reads only as many tasks as it needs."""
    rows = need_rows(tenant_id, limit=considered)
    bookings = bookings_of(tenant_id)
    return match(needs_from(rows), hosts, bookings, avoid=refusals.forbids, limit=limit)


def _offer(grants: Sequence[Grant], replies: Mapping[str, Reply]) -> list[Task]:
    """Make the offers and arrange their delivery; returns the offered tasks."""
    if not grants:
        return []
    granted = [grant.task_id for grant in grants]
    # Skipping what somebody else is moving: waiting for it here could be mutual.
    rows = lock_rows(granted, SPEC_COLUMNS, skip_locked=True)
    tasks = {task.pk: task for task in rows if task.state == QUEUED}
    now = timezone.now()
    moves = [
        _offer_move(tasks[grant.task_id], grant, now)
        for grant in grants
        # Another server process may have been first, between the reading and the lock.
        if grant.task_id in tasks
    ]
    move_all(moves)
    offered = [one.task for one in moves]
    _hand_out(offered, replies)
    return offered


def _offer_move(task: Task, grant: Grant, now: datetime) -> Move:
    """Return the move of a waiting task to the host it was granted to."""
    return Move(
        task,
        OFFERED,
        "offered",
        changes={
            "agent_id": grant.agent_id,
            "offer": task.offer + 1,
            "offered_at": now,
            "gpu_ids": list(grant.gpu_ids),
        },
        detail={"agent_id": grant.agent_id, "offer": task.offer + 1},
    )


def _hand_out(tasks: Sequence[Task], replies: Mapping[str, Reply]) -> None:
    """Put the offers into the answers being made, and send the rest after the commit."""
    outgoing: dict[str, list[TaskSpec]] = defaultdict(list)
    for task in tasks:
        agent_id = task.agent_id or ""
        reply = replies.get(agent_id)
        if reply is not None:
            reply.offer(spec_of(task))
        else:
            outgoing[agent_id].append(spec_of(task))
    for agent_id, specs in outgoing.items():
        transaction.on_commit(partial(_deliver, agent_id, specs))


def _deliver(agent_id: str, specs: Sequence[TaskSpec]) -> None:
    """Send offers in messages of bounded size."""
    batch: list[TaskSpec] = []
    size_bytes = 0
    for spec in specs:
        length = len(spec.script_content)
        if batch and size_bytes + length > MAX_BATCH_BYTES:
            _send(agent_id, batch)
            batch, size_bytes = [], 0
        batch.append(spec)
        size_bytes += length
    _send(agent_id, batch)


def _send(agent_id: str, specs: Sequence[TaskSpec]) -> None:
    """Send one message with offers."""
    delivery.deliver(agent_id, TasksBatch(message_id=next_message_id(), tasks=tuple(specs)))
