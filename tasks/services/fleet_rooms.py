"""The fleet as the matcher takes it: hosts from the agents app, bookings from the table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from agents import fleet
from tasks.hot_reads import NEED_COLUMNS, booking_rows
from tasks.matching import Booking, GpuCard, Host, Need, Room, rooms_of
from tasks.models import Task


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
    return [Booking(agent_id, cores, tuple(gpus), mb) for agent_id, cores, gpus, mb in rows]


def rooms_in(tenant_id: str) -> dict[str, Room]:
    """Return what is free on each of the tenant's hosts."""
    return rooms_of(hosts_of(tenant_id), bookings_of(tenant_id))


def needs_from(rows: Iterable[tuple[Any, ...]]) -> Iterator[Need]:
    """Yield needs from rows of NEED_COLUMNS, lazily."""
    for task_id, script_type, cores, gpus, gpu_mb, wanted, labels in rows:
        named = tuple(sorted(labels.items())) if labels else ()
        yield Need(task_id, script_type, cores, gpus, gpu_mb, wanted or "", named)


def need_of(task: Task) -> Need:
    """Return what one task asks for."""
    row = tuple(getattr(task, name) for name in NEED_COLUMNS)
    return next(needs_from([row]))
