"""What the agents page draws of a host: its portrait turned into rows, bars and sentences.

Reads nothing but the portrait and the history file. What a host says about itself may be
anything, so every figure is read with its type checked; a wrong one is left out.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from django.utils.translation import gettext as _

from agents import history
from agents.figures import number_of, text_of
from agents.limits import limits_text
from agents.portrait import Portrait
from agents.services.host_releases import former_versions, runs_own_release
from agents.thread_pool import ThreadPoolFacts, thread_pool
from dialer_platform.console.wording import KILO, size_of

FULL = 100.0
BUSY_GPU_PERCENT = 5.0
HISTORY_MINUTES = 60
MAX_MOUNTS = 20


@dataclass(frozen=True, slots=True)
class Meter:
    """One labelled bar: parts are (amount, tone) of the total."""

    label: str
    parts: tuple[tuple[float, str], ...]
    total: float
    text: str


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One GPU: its memory as a bar, the tasks that own it, the processes that do not belong."""

    name: str
    model: str
    parts: tuple[tuple[float, str], ...]
    total: float
    text: str
    tasks: tuple[int, ...]
    foreign: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Card:
    """One host as the page draws it."""

    portrait: Portrait
    tone: str
    meters: list[Meter]
    gpus: list[GpuRow]
    pool: ThreadPoolFacts
    os: str
    load: str
    limits: str = ""
    can_upgrade: bool = False
    """Whether there is another version to go to: the server's own."""
    former_versions: list[str] = field(default_factory=list)
    cpu_history: list[float] = field(default_factory=list)
    memory_history: list[float] = field(default_factory=list)


def card(portrait: Portrait) -> Card:
    """Return the card of one host."""
    agent = portrait.agent
    samples = recent_history(agent.id, int(time.time() // 60))
    draining = portrait.is_online and agent.is_draining
    return Card(
        portrait=portrait,
        tone="draining" if draining else agent.status,
        meters=meters(portrait),
        gpus=[gpu_row(gpu) for gpu in portrait.gpu_info],
        pool=thread_pool(portrait.thread_pool),
        os=text_of(agent.system.get("os")),
        load=f"{number_of(portrait.resources.get('load_1m')):.1f}" if portrait.resources else "—",
        limits=limits_text(portrait.resources, slots=agent.slots) if portrait.is_online else "",
        can_upgrade=_can_upgrade(portrait),
        former_versions=_former_versions(portrait),
        cpu_history=[number_of(one.get("cpu")) for one in samples],
        memory_history=[number_of(one.get("memory")) for one in samples],
    )


def _can_upgrade(portrait: Portrait) -> bool:
    """Return whether the server may give the host its own version, and the host lacks it."""
    release = portrait.release
    return bool(release and release.can_change and not runs_own_release(release))


def _former_versions(portrait: Portrait) -> list[str]:
    """Return the versions that the host can be taken back to."""
    release = portrait.release
    return former_versions(portrait.agent) if release and release.can_change else []


def cards(portraits: Iterable[Portrait]) -> list[Card]:
    """Return the cards of a tenant: online hosts first, each group by name."""
    ordered = sorted(
        portraits, key=lambda one: (not one.is_online, one.agent.name.lower(), one.agent.id)
    )
    return [card(one) for one in ordered]


def summary(found: list[Card]) -> str:
    """Return "2 online · 1 offline · 1 paused · 6 of 10 GPUs busy"."""
    online = sum(one.portrait.is_online for one in found)
    parts = [_("%(count)d online") % {"count": online}]
    if offline := len(found) - online:
        parts.append(_("%(count)d offline") % {"count": offline})
    if paused := sum(one.portrait.agent.is_paused for one in found):
        parts.append(_("%(count)d paused") % {"count": paused})
    gpus = [gpu for one in found if one.portrait.is_online for gpu in one.portrait.gpu_info]
    if gpus:
        busy = sum(is_busy(gpu) for gpu in gpus)
        parts.append(_("%(busy)d of %(total)d GPUs busy") % {"busy": busy, "total": len(gpus)})
    return " · ".join(parts)


def meters(portrait: Portrait) -> list[Meter]:
    """Return the bars of a host: cores, CPU, memory, disk."""
    resources = portrait.resources
    booked = portrait.cpu_cores - portrait.available_cpu_cores
    used_bytes = number_of(resources.get("memory_used_bytes"))
    rows = [
        Meter(
            _("Cores"),
            ((booked, "accent"),),
            portrait.cpu_cores,
            _("%(used)d of %(total)d booked") % {"used": booked, "total": portrait.cpu_cores},
        ),
        usage_meter(_("CPU"), portrait.cpu_usage),
        usage_meter(
            _("Memory"),
            portrait.memory_usage,
            size_of(used_bytes, portrait.memory_bytes) if used_bytes else "",
        ),
    ]
    if "disk_usage" in resources:
        rows.append(usage_meter(_("Disk"), number_of(resources["disk_usage"])))
    return rows


def usage_meter(label: str, percent: float, text: str = "") -> Meter:
    """Return the bar of a percentage; from 90 % on it warns."""
    tone = "waiting" if percent >= 90 else "running"
    share = f"{percent:.0f} %"
    return Meter(label, ((percent, tone),), FULL, f"{text} · {share}" if text else share)


def gpu_row(gpu: dict[str, Any]) -> GpuRow:
    """Return the row of one GPU; memory of foreign processes stands apart."""
    used, total = number_of(gpu.get("memory_used")), number_of(gpu.get("memory_total"))
    foreign = tuple(gpu.get("foreign") or ())
    foreign_mb = min(sum(number_of(one.get("memory_mb")) for one in foreign), used)
    owned_tone = "accent" if gpu.get("tasks") else "running"
    share = f"{number_of(gpu.get('utilization')):.0f} %"
    return GpuRow(
        name=f"GPU {gpu.get('index', '')}",
        model=text_of(gpu.get("name")),
        parts=((used - foreign_mb, owned_tone), (foreign_mb, "waiting")),
        total=total,
        text=f"{share} · {size_of(used * KILO**2, total * KILO**2)}",
        tasks=tuple(gpu.get("tasks") or ()),
        foreign=foreign,
    )


def is_busy(gpu: dict[str, Any]) -> bool:
    """Return whether anything uses the GPU."""
    return bool(gpu.get("tasks") or gpu.get("foreign")) or (
        number_of(gpu.get("utilization")) >= BUSY_GPU_PERCENT
    )


def mounts(system: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the mount points of a host whose rows are well-formed."""
    rows = system.get("mounts")
    found = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [
        {
            "mount_point": text_of(row.get("mount_point")),
            "device": text_of(row.get("device")),
            "used_bytes": number_of(row.get("used_bytes")),
            "total_bytes": number_of(row.get("total_bytes")),
            "usage": number_of(row.get("usage")),
        }
        for row in found[:MAX_MOUNTS]
    ]


@lru_cache(maxsize=512)
def recent_history(agent_id: str, _minute: int) -> list[dict[str, Any]]:
    """Return the samples of the last hour; read once a minute, as often as they are written."""
    return history.history(agent_id, HISTORY_MINUTES)
