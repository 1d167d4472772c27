"""Which waiting task goes to which host: free resources and tasks in, decisions out.

Pure: no database, no clock, no translation. Promises that no host is ever given more
slots, cores or GPU memory than it has (R20), nor more tasks that move files than the few
it takes beside its slots, and that among the tasks a host could take
the more urgent goes first, then the older (R21). A task that fits nowhere now does not
hold up those behind it, until it is overdue: then the host that lacks least for it is kept
free for it, so that no stream of small tasks can pass it over for ever.

A pass over 10,000 tasks and 1,000 hosts stays in the tens of milliseconds because tasks
that need the same share one sorted list of hosts: within a pass hosts only lose room, so
a host that was too small once is never looked at again for that need.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent_client.protocol.transfers import transfer_slots

GPU_RESERVE_MB = 300
"""Kept free on a shared GPU for the driver and the contexts of its processes."""
FOREIGN_TOLERANCE_MB = 512
"""A GPU counts as free although processes outside the queue hold this much: desktops do."""


@dataclass(frozen=True, slots=True)
class GpuCard:
    """One GPU: memory in MB; foreign is what processes outside the queue hold."""

    uuid: str
    index: int
    total_mb: int
    used_mb: int = 0
    foreign_mb: int = 0


@dataclass(frozen=True, slots=True)
class Host:
    """What one host offers in all, and whether it takes tasks at present."""

    agent_id: str
    name: str
    cpu_cores: int
    slots: int
    gpus: tuple[GpuCard, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    script_types: frozenset[str] = frozenset({"shell", "python"})
    is_online: bool = True
    is_draining: bool = False

    @property
    def transfers(self) -> int:
        """How many tasks that move files the host takes at once, beside its slots."""
        return transfer_slots(self.slots)

    @property
    def takes_tasks(self) -> bool:
        """Whether tasks may be offered to the host now."""
        return self.is_online and not self.is_draining


class Need(NamedTuple):
    """What one task asks for; gpu_memory_mb 0 means whole GPUs.

    is_transfer: it moves a file, so it needs neither a slot nor an interpreter.
    is_overdue: it has waited so long that room is to be kept for it.
    """

    task_id: int
    script_type: str = "shell"
    cpu_cores: int = 0
    gpu_count: int = 0
    gpu_memory_mb: int = 0
    agent_id: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    is_transfer: bool = False
    is_overdue: bool = False

    @property
    def shape(self) -> tuple[object, ...]:
        """Return what is equal for tasks that fit the same hosts."""
        return self[1:-1]


class Booking(NamedTuple):
    """What one offered or running task occupies on its host."""

    agent_id: str
    cpu_cores: int
    gpu_ids: tuple[str, ...] = ()
    gpu_memory_mb: int = 0
    is_transfer: bool = False


class Grant(NamedTuple):
    """The decision to offer a task to a host, with the GPUs it gets."""

    task_id: int
    agent_id: str
    gpu_ids: tuple[str, ...] = ()


MAX_GRANTS = 10**9
MAX_KEPT = 16
"""Hosts kept free in one pass: whoever is further down has more urgent ones before it."""

Avoid = Callable[[int, str], bool]
"""Whether a task must not be offered to a host for now: it refused a moment ago."""


class Room:
    """What is left of one host while decisions are made."""

    __slots__ = ("cores", "exclusive", "host", "kept_for", "shared_mb", "slots", "transfers")

    def __init__(self, host: Host) -> None:
        """Begin with everything free."""
        self.host = host
        self.slots = host.slots
        self.transfers = host.transfers
        self.cores = host.cpu_cores
        self.exclusive: set[str] = set()
        self.shared_mb: dict[str, int] = {}
        self.kept_for: int | None = None

    def book(self, booking: Booking) -> None:
        """Take what a task occupies; the host may have shrunk below it meanwhile."""
        if booking.is_transfer:
            self.transfers -= 1
        else:
            self.slots -= 1
        self.cores -= booking.cpu_cores
        for uuid in booking.gpu_ids:
            if booking.gpu_memory_mb:
                self.shared_mb[uuid] = self.shared_mb.get(uuid, 0) + booking.gpu_memory_mb
            else:
                self.exclusive.add(uuid)

    def is_free(self, card: GpuCard) -> bool:
        """Return whether a task may have the whole GPU."""
        return (
            card.uuid not in self.exclusive
            and card.uuid not in self.shared_mb
            and card.foreign_mb <= FOREIGN_TOLERANCE_MB
        )

    def free_mb(self, card: GpuCard) -> int:
        """Return the memory that a further sharing task may have on the GPU."""
        if card.uuid in self.exclusive:
            return 0
        booked = self.shared_mb.get(card.uuid)
        # Tasks may use more than they declared; then the measured figure counts.
        taken = card.foreign_mb if booked is None else max(booked + card.foreign_mb, card.used_mb)
        return card.total_mb - GPU_RESERVE_MB - taken

    def fitting_gpus(self, need: Need) -> tuple[str, ...] | None:
        """Return the GPUs the task would get, () when it wants none, None when too few fit.

        Whole GPUs in index order; shared ones on the fullest that still fit, so that
        empty ones stay whole.
        """
        if not need.gpu_count:
            return ()
        if need.gpu_memory_mb:
            sized = [(self.free_mb(card), card.index, card.uuid) for card in self.host.gpus]
            found = sorted(one for one in sized if one[0] >= need.gpu_memory_mb)
            uuids = [one[2] for one in found]
        else:
            uuids = [card.uuid for card in self.host.gpus if self.is_free(card)]
        return tuple(uuids[: need.gpu_count]) if len(uuids) >= need.gpu_count else None

    def keep_for(self, need: Need) -> None:
        """Take out what an overdue task will need here, as far as it is free already.

        What it takes beyond that is debt: a task that ends here pays it back first.
        """
        if need.gpu_memory_mb:
            cards = sorted(self.host.gpus, key=self.free_mb, reverse=True)
        else:
            cards = [card for card in self.host.gpus if self.is_free(card)]
        uuids = tuple(card.uuid for card in cards[: need.gpu_count])
        self.book(Booking(self.host.agent_id, need.cpu_cores, uuids, need.gpu_memory_mb))
        self.kept_for = need.task_id

    def fit(self, need: Need) -> tuple[str, ...] | None:
        """Return the GPUs for the task if it fits now, else None."""
        slots = self.transfers if need.is_transfer else self.slots
        if slots < 1 or (need.cpu_cores and self.cores < need.cpu_cores):
            return None
        return self.fitting_gpus(need)


def rooms_of(hosts: Iterable[Host], bookings: Iterable[Booking]) -> dict[str, Room]:
    """Return what is left of each host after the bookings, by agent id."""
    rooms = {host.agent_id: Room(host) for host in hosts}
    for booking in bookings:
        room = rooms.get(booking.agent_id)
        if room is not None:
            room.book(booking)
    return rooms


def suits(need: Need, host: Host) -> bool:
    """Return whether the host is of the right kind, whatever is free on it."""
    if need.agent_id and need.agent_id != host.agent_id:
        return False
    if not need.is_transfer and need.script_type not in host.script_types:
        return False
    return all(host.labels.get(key) == value for key, value in need.labels)


def match(
    needs: Iterable[Need],
    hosts: Iterable[Host],
    bookings: Iterable[Booking],
    *,
    transfers: Iterable[Need] = (),
    avoid: Avoid | None = None,
    limit: int | None = None,
) -> list[Grant]:
    """Return the offers to make now; `needs` must come by priority, then age.

    `transfers` are those among them that move files. Once every slot is given only they are
    read on, so that a pass over a full fleet does not read the whole queue for them. Reads no
    further than it must: it stops when all is given or `limit` is reached.
    """
    found = _Pass(_open_rooms(hosts, bookings), avoid)
    most = MAX_GRANTS if limit is None else limit
    found.take_all(needs, until=lambda: not found.slots or len(found.grants) >= most)
    seen = {grant.task_id for grant in found.grants}
    found.take_all(
        (need for need in transfers if need.task_id not in seen),
        until=lambda: not found.transfers or len(found.grants) >= most,
    )
    return found.grants


class _Pass:
    """One pass over the needs: what was granted, and how much of both kinds is left to give."""

    def __init__(self, rooms: Mapping[str, Room], avoid: Avoid | None) -> None:
        self.grants: list[Grant] = []
        self.slots = sum(max(room.slots, 0) for room in rooms.values())
        self.transfers = sum(max(room.transfers, 0) for room in rooms.values())
        self._rooms = rooms
        self._avoid = avoid
        self._lines: dict[tuple[object, ...], list[Room]] = {}
        self._keeper = Keeper(rooms.values())

    def take_all(self, needs: Iterable[Need], *, until: Callable[[], bool]) -> None:
        """Take one need after the other, and read no further than it must."""
        if until():
            return
        for need in needs:
            self.take(need)
            if until():
                return

    def take(self, need: Need) -> None:
        """Grant the need the best host that fits, or keep one free for it when it is overdue."""
        line = self._lines.get(need.shape)
        if line is None:
            line = self._lines[need.shape] = _line_up(need, self._rooms.values())
        grant = _grant(need, line, self._avoid)
        if grant is not None:
            self.grants.append(grant)
            self.transfers -= need.is_transfer
            self.slots -= not need.is_transfer
        elif need.is_overdue:
            self._keeper.keep(need)


class Keeper:
    """Keeps hosts free for overdue tasks: one task a host, the most urgent ones.

    The choice is stable: while a host is kept its lack only shrinks, so the next pass
    finds it nearest again, or one that is nearer still.
    """

    def __init__(self, rooms: Iterable[Room]) -> None:
        """Look after these hosts."""
        self._rooms = rooms
        self._kept = 0
        # Most overdue tasks look alike: who found no host once need not search again.
        self._hopeless: set[tuple[object, ...]] = set()

    def keep(self, need: Need) -> Room | None:
        """Keep the host that lacks least for the task; None if no further one is its size."""
        if self._kept >= MAX_KEPT or need.shape in self._hopeless:
            return None
        able = [
            room for room in self._rooms if room.kept_for is None and _is_size_of(need, room.host)
        ]
        if not able:
            self._hopeless.add(need.shape)
            return None
        nearest = min(able, key=lambda room: (*_lack(need, room), room.host.agent_id))
        nearest.keep_for(need)
        self._kept += 1
        return nearest


def _is_size_of(need: Need, host: Host) -> bool:
    """Return whether the host would take the task if no other task were there."""
    return host.takes_tasks and suits(need, host) and Room(host).fit(need) is not None


def _lack(need: Need, room: Room) -> tuple[int, int, int, int]:
    """Return the GPUs, MB of GPU memory, cores and slots that are missing; scarcest first."""
    free = sorted((room.free_mb(card) for card in room.host.gpus), reverse=True)
    short_mb = sum(max(need.gpu_memory_mb - mb, 0) for mb in free[: need.gpu_count])
    whole = 0 if need.gpu_memory_mb else sum(room.is_free(card) for card in room.host.gpus)
    cards = 0 if need.gpu_memory_mb else max(need.gpu_count - whole, 0)
    memory = short_mb if need.gpu_memory_mb else 0
    return (cards, memory, max(need.cpu_cores - room.cores, 0), max(1 - room.slots, 0))


def _open_rooms(hosts: Iterable[Host], bookings: Iterable[Booking]) -> dict[str, Room]:
    """Return what is left of the hosts that take tasks; one without a slot can be kept free."""
    rooms = rooms_of(hosts, bookings)
    return {agent_id: room for agent_id, room in rooms.items() if room.host.takes_tasks}


def _line_up(need: Need, rooms: Iterable[Room]) -> list[Room]:
    """Return the suitable hosts, the best fit last: it is taken from the end.

    Best is the host that keeps most for others: without a GPU for tasks that want none,
    else the fewest free GPUs, then the fewest free cores and slots.
    """
    fitting = [room for room in rooms if suits(need, room.host) and room.fit(need) is not None]
    fitting.sort(key=_spare, reverse=True)
    return fitting


def _spare(room: Room) -> tuple[int, int, int, str]:
    """Return how much a host has to spare, for sorting."""
    free_gpus = sum(room.is_free(card) for card in room.host.gpus)
    return (free_gpus, room.cores, room.slots, room.host.agent_id)


def _grant(need: Need, line: list[Room], avoid: Avoid | None) -> Grant | None:
    """Book the best host of the line that still fits; drops those that no longer do."""
    position = len(line) - 1
    while position >= 0:
        room = line[position]
        gpu_ids = room.fit(need)
        if gpu_ids is None:
            del line[position]
        elif avoid is None or not avoid(need.task_id, room.host.agent_id):
            agent_id = room.host.agent_id
            cores, mb = need.cpu_cores, need.gpu_memory_mb
            room.book(Booking(agent_id, cores, gpu_ids, mb, need.is_transfer))
            return Grant(need.task_id, agent_id, gpu_ids)
        position -= 1
    return None
