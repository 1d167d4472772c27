"""Why a task does not start: the host that comes closest, and what it lacks.

Pure like the matcher, whose figures it uses. Returns codes and numbers; `waiting.py`
makes the sentence, in the reader's language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from tasks.matching import FOREIGN_TOLERANCE_MB, GPU_RESERVE_MB, Host, Need, Room, suits


class Lack(Enum):
    """What keeps a task from a host; the order is how near the host is, nearest first."""

    NOTHING = "nothing"
    SLOTS = "slots"
    TRANSFERS = "transfers"
    CPU = "cpu"
    GPU_COUNT = "gpu_count"
    GPU_MEMORY = "gpu_memory"
    GPU_FOREIGN = "gpu_foreign"
    KEPT = "kept"
    DRAINING = "draining"
    OFFLINE = "offline"
    NEVER_SLOTS = "never_slots"
    NEVER_CPU = "never_cpu"
    NEVER_GPU_COUNT = "never_gpu_count"
    NEVER_GPU_MEMORY = "never_gpu_memory"
    SCRIPT_TYPE = "script_type"
    LABELS = "labels"
    OTHER_HOST = "other_host"
    NO_HOSTS = "no_hosts"


DISTANCES = {lack: distance for distance, lack in enumerate(Lack)}
NEVER = frozenset(list(Lack)[DISTANCES[Lack.NEVER_SLOTS] :])
"""Lacks that time does not mend: no idle host would do."""


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What the closest host lacks; needed and available count cores, slots, GPUs or MB."""

    lack: Lack
    host_name: str = ""
    needed: int = 0
    available: int = 0
    detail: str = ""

    @property
    def is_permanent(self) -> bool:
        """Whether no known host could ever take the task."""
        return self.lack in NEVER


def explain(need: Need, rooms: Mapping[str, Room] | Iterable[Room]) -> Shortfall:
    """Return what the host nearest to taking the task lacks now."""
    found = rooms.values() if isinstance(rooms, Mapping) else rooms
    best: Shortfall | None = None
    for room in found:
        mine = shortfall_of(need, room)
        if best is None or _distance(mine) < _distance(best):
            best = mine
    return best or Shortfall(Lack.NO_HOSTS)


def shortfall_of(need: Need, room: Room) -> Shortfall:
    """Return the first thing one host lacks: kind, then size, then presence, then room."""
    host = room.host
    lack = _wrong_kind(need, host) or _too_small(need, host)
    if lack is None and not host.is_online:
        lack = Shortfall(Lack.OFFLINE, host.name)
    if lack is None and host.is_draining:
        lack = Shortfall(Lack.DRAINING, host.name)
    return lack or _occupied(need, room) or Shortfall(Lack.NOTHING, host.name)


def _distance(one: Shortfall) -> tuple[int, int]:
    """Return how far a host is from taking the task, for comparing."""
    return (DISTANCES[one.lack], one.needed - one.available)


def _wrong_kind(need: Need, host: Host) -> Shortfall | None:
    """Return what makes the host the wrong one whatever its size."""
    if suits(need, host):
        return None
    if need.agent_id and need.agent_id != host.agent_id:
        return Shortfall(Lack.OTHER_HOST, host.name)
    if not need.is_transfer and need.script_type not in host.script_types:
        return Shortfall(Lack.SCRIPT_TYPE, host.name, detail=need.script_type)
    missing = [f"{key}={value}" for key, value in need.labels if host.labels.get(key) != value]
    return Shortfall(Lack.LABELS, host.name, detail=", ".join(missing))


def _too_small(need: Need, host: Host) -> Shortfall | None:
    """Return what the host would lack even when idle and without foreign processes."""
    if host.slots < 1:
        return Shortfall(Lack.NEVER_SLOTS, host.name, 1, host.slots)
    if host.cpu_cores < need.cpu_cores:
        return Shortfall(Lack.NEVER_CPU, host.name, need.cpu_cores, host.cpu_cores)
    if len(host.gpus) < need.gpu_count:
        return Shortfall(Lack.NEVER_GPU_COUNT, host.name, need.gpu_count, len(host.gpus))
    if need.gpu_count and need.gpu_memory_mb:
        sizes: Sequence[int] = sorted(
            (card.total_mb - GPU_RESERVE_MB for card in host.gpus), reverse=True
        )
        size = sizes[need.gpu_count - 1]
        if size < need.gpu_memory_mb:
            return Shortfall(Lack.NEVER_GPU_MEMORY, host.name, need.gpu_memory_mb, size)
    return None


def _occupied(need: Need, room: Room) -> Shortfall | None:
    """Return what other tasks or foreign processes hold at present."""
    lack = _held(need, room)
    if lack is not None and room.kept_for is not None:
        # Its figures would be those of the task it is kept for: they explain nothing.
        return Shortfall(Lack.KEPT, room.host.name, room.kept_for)
    return lack


def _held(need: Need, room: Room) -> Shortfall | None:
    """Return what of the host is taken already, of that which the task needs."""
    name = room.host.name
    if need.is_transfer and room.transfers < 1:
        return Shortfall(Lack.TRANSFERS, name, 1, room.host.transfers)
    if not need.is_transfer and room.slots < 1:
        return Shortfall(Lack.SLOTS, name, room.host.slots, room.host.slots)
    if need.cpu_cores and room.cores < need.cpu_cores:
        return Shortfall(Lack.CPU, name, need.cpu_cores, max(room.cores, 0))
    if room.fitting_gpus(need) is not None:
        return None
    return _short_of_memory(need, room) if need.gpu_memory_mb else _short_of_cards(need, room)


def _short_of_memory(need: Need, room: Room) -> Shortfall:
    """Return how much memory the last of the wanted GPUs has free."""
    free = sorted((room.free_mb(card) for card in room.host.gpus), reverse=True)
    available = max(free[need.gpu_count - 1], 0)
    return Shortfall(Lack.GPU_MEMORY, room.host.name, need.gpu_memory_mb, available)


def _short_of_cards(need: Need, room: Room) -> Shortfall:
    """Return how many whole GPUs are free, and whether foreign processes are to blame."""
    name, cards = room.host.name, room.host.gpus
    free = sum(room.is_free(card) for card in cards)
    foreign = [card for card in cards if card.foreign_mb > FOREIGN_TOLERANCE_MB]
    # Named only where they make the difference: otherwise our own tasks are in the way.
    if foreign and free + len(foreign) >= need.gpu_count:
        held = ", ".join(f"GPU {card.index}" for card in foreign)
        return Shortfall(Lack.GPU_FOREIGN, name, need.gpu_count, free, held)
    return Shortfall(Lack.GPU_COUNT, name, need.gpu_count, free)
