"""The fleet as the matcher sees it: what each host of a tenant offers, at most a second old.

Hosts that talk to this process are taken from memory, the rest from their rows. Cheap
enough to be asked at every submission: the rows are read at most once a second.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.db import transaction

from agents import connections, hot
from agents.choices import AgentStatus
from agents.models import Agent

MAX_AGE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU; memory in MB, `foreign_mb` is used by processes outside the queue."""

    uuid: str
    index: int
    name: str
    total_mb: int
    used_mb: int
    foreign_mb: int


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What one host offers to tasks, and whether it may get any now."""

    agent_id: str
    name: str
    cpu_cores: int
    slots: int
    gpus: tuple[GpuFacts, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    script_types: frozenset[str] = frozenset()
    is_online: bool = False
    is_draining: bool = False
    connected: bool = False


_guard = threading.Lock()
_cache: dict[str, tuple[float, list[Agent]]] = {}

_FIELDS = (
    "id",
    "name",
    "status",
    "cpu_cores",
    "slots",
    "gpu_info",
    "labels",
    "script_types",
    "is_draining",
)


def hosts_of(tenant_id: str) -> list[HostFacts]:
    """Return the tenant's hosts that were not revoked, oldest first."""
    return [_facts(row) for row in _rows(tenant_id)]


def forget(tenant_id: str) -> None:
    """Read the tenant's rows anew at the next call."""
    with _guard:
        _cache.pop(tenant_id, None)


def forget_on_commit(tenant_id: str) -> None:
    """Read the tenant's rows anew, in this transaction and after it."""
    forget(tenant_id)
    transaction.on_commit(partial(forget, tenant_id))


def clear() -> None:
    """Forget all tenants."""
    with _guard:
        _cache.clear()


def _rows(tenant_id: str) -> list[Agent]:
    """Return the cached rows, read again when they are older than a second."""
    with _guard:
        entry = _cache.get(tenant_id)
    if entry and time.monotonic() - entry[0] < MAX_AGE_SECONDS:
        return entry[1]
    read_at = time.monotonic()
    rows = list(Agent.objects.of_tenant(tenant_id).hosts().enrolled().only(*_FIELDS))
    with _guard:
        _cache[tenant_id] = (read_at, rows)
    return rows


def _facts(row: Agent) -> HostFacts:
    """Return the facts of a row, with what memory knows better."""
    known = hot.snapshot(row.id)
    capacity = known.capacity if known else None
    return HostFacts(
        agent_id=row.id,
        name=row.name,
        cpu_cores=capacity.cpu_cores if capacity else row.cpu_cores,
        slots=_slots(known, capacity.slots if capacity else row.slots),
        gpus=_gpus(known, row.gpu_info),
        labels=row.labels,
        script_types=frozenset(capacity.script_types if capacity else row.script_types),
        is_online=row.status == AgentStatus.ONLINE,
        is_draining=row.is_draining,
        connected=connections.is_connected(row.id),
    )


def _slots(known: hot.HotAgent | None, slots: int) -> int:
    """Return the slots a host gives out now: fewer while its load is high."""
    allowed = known.resources.slots_allowed if known and known.resources else None
    return slots if allowed is None else min(slots, allowed)


def _gpus(known: hot.HotAgent | None, stored: Sequence[Mapping[str, Any]]) -> tuple[GpuFacts, ...]:
    """Return the GPUs from the last beat, else from the row."""
    if known and known.gpus is not None:
        return tuple(
            GpuFacts(
                uuid=gpu.uuid,
                index=gpu.index,
                name=gpu.name,
                total_mb=gpu.memory_total,
                used_mb=gpu.memory_used,
                foreign_mb=sum(process.memory_mb for process in gpu.foreign),
            )
            for gpu in known.gpus
        )
    return tuple(
        GpuFacts(
            uuid=gpu["uuid"],
            index=gpu["index"],
            name=gpu.get("name", ""),
            total_mb=gpu.get("memory_total", 0),
            used_mb=gpu.get("memory_used", 0),
            foreign_mb=sum(process.get("memory_mb", 0) for process in gpu.get("foreign", [])),
        )
        for gpu in stored
    )
