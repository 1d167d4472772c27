"""Hosts come and go: the hello of a connection, the first beat, and the silence after the last.

Offline is judged by the database's clock against the last flushed beat, never by a clock
of a host. After a start of the server, and after a jump of the clock, every host gets one
full window to speak before anything is said about it. A beat that the clock dates into the
future, because it was set back since, counts as one of now (R12, R14).
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F, Q

from agent_client.protocol.messages import Hello, ReleaseState
from agents import database_clock, delivery, events, fleet, hot, pace, probe_duty
from agents.choices import AgentStatus
from agents.inbox_registry import Beat, Incoming
from agents.labels import merged_labels
from agents.models import Agent
from agents.services import host_releases
from agents.system_changes import with_changes
from agents.system_facts import bounded_labels, bounded_system
from dialer_platform.storage import write_transaction

MAX_CLOCK_DRIFT_SECONDS = 5.0
JUDGE_EARLY_SECONDS = 3.0
"""Rounds come every two seconds, and the promise is to show a silence by its full length.
Even so it is never judged before two beats are missing."""


def greet(batch: Sequence[Incoming]) -> None:
    """Store what hosts say of themselves and number their connections; an inbox handler."""
    now = database_clock.now()
    # Locked: somebody may change the labels of a host at this moment.
    known = Agent.objects.hosts().select_for_update().order_by("id")
    rows = known.in_bulk([one.principal.agent_id for one in batch])
    states: dict[str, ReleaseState] = {}
    for principal, message, reply in batch:
        row = rows.get(principal.agent_id)
        if row is None or not isinstance(message, Hello):
            reply.error(message.message_id, "unknown_agent", "There is no such agent.")
            continue
        row.epoch += 1
        reply.epoch = row.epoch
        facts = _facts_of(message, row, now)
        if facts["labels"] != row.labels:
            probe_duty.hosts_changed(row.tenant_id)
        Agent.objects.filter(id=row.id, revoked_at=None).update(
            **facts,
            epoch=row.epoch,
            token_used=True,
            status=AgentStatus.ONLINE,
            last_heartbeat_time=now,
            online_since=row.online_since or now,
        )
        if message.release:
            states[row.id] = message.release
        transaction.on_commit(partial(delivery.announce_epoch, row.id, row.epoch))
    host_releases.note_states(states, now)
    _announce((row.tenant_id, row.id) for row in rows.values())


def show_online(beats: Sequence[Beat]) -> None:
    """Mark hosts online whose beats arrive again; an inbox contributor."""
    spoken = {beat.principal.agent_id for beat in beats}
    silent = Agent.objects.hosts().offline().filter(id__in=spoken)
    found = list(silent.values_list("tenant_id", "id"))
    if not found:
        return
    now = database_clock.now()
    # A host that never spoke is offline: its first beat is the first use of its credential.
    Agent.objects.filter(id__in=[agent_id for _, agent_id in found]).update(
        status=AgentStatus.ONLINE, online_since=now, last_heartbeat_time=now, token_used=True
    )
    _announce(found)


def mark_silent_agents() -> list[str]:
    """Mark hosts offline whose beats stopped, and return their ids; a housekeeping job."""
    now = database_clock.now()
    _pull_back_future(now)
    silence = pace.silence_for(pace.interval_for(Agent.objects.hosts().online().count()))
    if not _watch.may_judge(now, silence):
        return []
    silent = (
        Agent.objects.hosts()
        .online()
        .filter(last_heartbeat_time__lt=now - timedelta(seconds=silence - JUDGE_EARLY_SECONDS))
    )
    with write_transaction():
        found = [
            (tenant_id, agent_id)
            for tenant_id, agent_id in silent.values_list("tenant_id", "id")
            if not _spoke_here(agent_id, silence - JUDGE_EARLY_SECONDS)
        ]
        # The condition again: a flush may have come between, and it is right.
        ids = [agent_id for _, agent_id in found]
        silent.filter(id__in=ids).update(status=AgentStatus.OFFLINE, online_since=None)
        _announce(found)
    return ids


def _pull_back_future(now: datetime) -> None:
    """Date what lies in the future to now: else a host that dies would be online until then."""
    future = now + database_clock.TOLERANCE
    late = Agent.objects.filter(Q(last_heartbeat_time__gt=future) | Q(online_since__gt=future))
    if not late.exists():
        return
    with write_transaction():
        for column in ("last_heartbeat_time", "online_since"):
            Agent.objects.filter(**{f"{column}__gt": future}).update(**{column: now})


class _Watch:
    """Says when silence may be judged: one full window after a start or a jump of the clock."""

    def __init__(self) -> None:
        """Begin the first window now."""
        self._since = time.monotonic()
        self._last: tuple[datetime, float] | None = None

    def may_judge(self, now: datetime, silence_seconds: float) -> bool:
        """Return whether the clock ran steadily for the window; call it at every round."""
        tick = time.monotonic()
        if self._last:
            clock_seconds = (now - self._last[0]).total_seconds()
            if abs(clock_seconds - (tick - self._last[1])) > MAX_CLOCK_DRIFT_SECONDS:
                self._since = tick
        self._last = (now, tick)
        return tick - self._since >= silence_seconds


_watch = _Watch()


def restart_grace() -> None:
    """Give every host a full window from now on: the server has just started."""
    global _watch
    _watch = _Watch()


def _spoke_here(agent_id: str, silence_seconds: float) -> bool:
    """Return whether a beat is known in memory that the flusher could not write yet."""
    known = hot.snapshot(agent_id)
    return known is not None and known.age_seconds < silence_seconds


def _facts_of(hello: Hello, row: Agent, now: datetime) -> dict[str, object]:
    """Return the columns that a hello fills."""
    known = hot.snapshot(row.id)
    capacity = hello.capacity
    host_labels = bounded_labels(hello.labels)
    return {
        "instance_id": hello.instance_id[:64],
        "boot_id": hello.boot_id[:64],
        "version": hello.version[:32],
        "cpu_cores": max(0, capacity.cpu_cores),
        "memory_bytes": max(0, capacity.memory_bytes),
        "slots": max(0, capacity.slots),
        "script_types": list(capacity.script_types),
        "system": with_changes(row.system, bounded_system(hello.system), now=now),
        # As a whole: a label that its settings name no more is gone.
        "host_labels": host_labels,
        "labels": merged_labels(host_labels, row.given_labels),
        "address": known.address[:64] if known and known.address else F("address"),
    }


def _announce(found: Iterable[tuple[str, str]]) -> None:
    """Have matcher and pages see that hosts came or went, tenant by tenant."""
    by_tenant: dict[str, list[str]] = defaultdict(list)
    for tenant_id, agent_id in found:
        by_tenant[tenant_id].append(agent_id)
    for tenant_id, agent_ids in by_tenant.items():
        fleet.forget_on_commit(tenant_id)
        events.presence_changed(tenant_id, agent_ids)
