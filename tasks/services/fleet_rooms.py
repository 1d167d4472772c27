"""The fleet as the matcher takes it: hosts from the agents app, bookings from the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from agents import fleet
from tasks.choices import Kind
from tasks.hot_reads import NEED_COLUMNS, booking_rows, need_rows
from tasks.matching import Booking, GpuCard, Host, Keeper, Need, Room, rooms_of, suits
from tasks.models import Task

LOOKED_AT = 100
"""Waiting tasks looked at to explain what is kept free: the head of the queue."""


def hosts_of(tenant_id: str) -> list[Host]:
    """Return the tenant's hosts."""
    return [host_from(facts) for facts in fleet.hosts_of(tenant_id)]


def host_from(facts: fleet.HostFacts) -> Host:
    """Return one host in the matcher's terms."""
    return Host(
        agent_id=facts.agent_id,
        name=facts.name,
        cpu_cores=facts.cpu_cores,
        slots=facts.slots,
        gpus=tuple(
            GpuCard(gpu.uuid, gpu.index, gpu.total_mb, gpu.used_mb, gpu.foreign_mb)
            for gpu in facts.gpus
        ),
        labels=facts.labels,
        script_types=frozenset(facts.script_types),
        is_online=facts.is_online,
        is_draining=facts.is_draining,
    )


def bookings_of(tenant_id: str) -> list[Booking]:
    """Return what offered and running tasks occupy."""
    rows = booking_rows(tenant_id)
    return [
        Booking(agent_id, cores, tuple(gpus), mb, kind != Kind.SCRIPT)
        for agent_id, cores, gpus, mb, kind in rows
    ]


def rooms_in(tenant_id: str) -> dict[str, Room]:
    """Return what is free on each of the tenant's hosts."""
    return rooms_of(hosts_of(tenant_id), bookings_of(tenant_id))


def keep_overdue(tenant_id: str, rooms: Mapping[str, Room]) -> dict[int, str]:
    """Take out of the rooms what the matcher keeps free; returns host name by task id."""
    keeper = Keeper([room for room in rooms.values() if room.host.takes_tasks])
    kept: dict[int, str] = {}
    for need in needs_from(need_rows(tenant_id, limit=LOOKED_AT)):
        if need.is_overdue and not any(_takes(need, room) for room in rooms.values()):
            room = keeper.keep(need)
            if room is not None:
                kept[need.task_id] = room.host.name
    return kept


def _takes(need: Need, room: Room) -> bool:
    """Return whether the task could go to the host now."""
    return room.host.takes_tasks and suits(need, room.host) and room.fit(need) is not None


def needs_from(rows: Iterable[tuple[Any, ...]]) -> Iterator[Need]:
    """Yield needs from rows of NEED_COLUMNS and is_overdue, lazily.

    No host is kept free for a transfer: it waits for others like it, and they need the same.
    """
    for task_id, script_type, cores, gpus, gpu_mb, wanted, kind, labels, is_overdue in rows:
        named = tuple(sorted(labels.items())) if labels else ()
        is_script = kind == Kind.SCRIPT
        yield Need(
            task_id,
            script_type,
            cores,
            gpus,
            gpu_mb,
            wanted or "",
            named,
            is_transfer=not is_script,
            is_overdue=is_overdue and is_script,
        )


def need_of(task: Task) -> Need:
    """Return what one task asks for."""
    row = tuple(getattr(task, name) for name in NEED_COLUMNS)
    return next(needs_from([(*row, False)]))
