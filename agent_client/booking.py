"""What of this host is promised to which task: slots, CPU cores and GPUs.

Tasks that move files have a few slots of their own and need no interpreter.

Pure bookkeeping: data in, a booking or a refusal out. A refusal carries a code of the
catalogue and says what is missing in numbers. The server plans with the same facts, so a
refusal is the exception: the host changed while an offer was on its way. Cores are booked
by number because a task is pinned to them. Never looks at the machine itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from agent_client.errors import Rejected
from agent_client.protocol.messages import ScriptType, TaskSpec
from agent_client.protocol.transfers import transfer_slots

TaskKey = tuple[int, int]
"""(task id, offer number)."""


@dataclass(frozen=True, slots=True)
class Booking:
    """What one task has: its cores (none when it asked for none) and its GPUs by uuid."""

    cpu_ids: tuple[int, ...]
    gpu_ids: tuple[str, ...]
    gpu_memory_mb: int
    """Memory booked on each GPU; 0 stands for the whole GPU."""
    is_transfer: bool = False
    """It moves a file: then it takes none of the slots for scripts."""


class Ledger:
    """All bookings of a host; used from the loop's thread only."""

    def __init__(
        self,
        *,
        cpu_ids: Sequence[int],
        slots: int,
        gpu_memory_mb: Mapping[str, int],
        script_types: Iterable[ScriptType],
    ) -> None:
        """Take what the host has; gpu_memory_mb maps each GPU's uuid to its memory."""
        self._cpu_ids = tuple(cpu_ids)
        self._slots = slots
        self._gpu_memory_mb = dict(gpu_memory_mb)
        self._script_types = frozenset(script_types)
        self._bookings: dict[TaskKey, Booking] = {}

    def allow_slots(self, slots: int) -> None:
        """Give no more than so many slots from now on; tasks that have one keep it."""
        self._slots = slots

    @property
    def cpu_cores_booked(self) -> int:
        """Return how many cores are promised."""
        return sum(len(booking.cpu_ids) for booking in self._bookings.values())

    @property
    def slots_booked(self) -> int:
        """Return how many scripts have a slot."""
        return len(self._bookings) - self.transfers_booked

    @property
    def transfers_booked(self) -> int:
        """Return how many tasks that move files are booked."""
        return sum(booking.is_transfer for booking in self._bookings.values())

    def get(self, key: TaskKey) -> Booking | None:
        """Return a task's booking, None when it has none."""
        return self._bookings.get(key)

    def book(self, spec: TaskSpec) -> Booking:
        """Book what the task asks for; raises Rejected with the code and what is missing."""
        key = (spec.task_id, spec.offer)
        if key in self._bookings:
            return self._bookings[key]
        self._check_kind(spec)
        self._check_slot(is_transfer=_is_transfer(spec))
        free = self._free_cores()
        if spec.cpu_cores > len(free):
            detail = f"{spec.cpu_cores} cores asked, {len(free)} of {len(self._cpu_ids)} free."
            raise Rejected(detail, code="no_free_cores")
        for uuid in spec.gpu_ids:
            self._check_gpu(uuid, spec.gpu_memory_mb)
        cores = tuple(free[: spec.cpu_cores])
        booking = Booking(cores, spec.gpu_ids, spec.gpu_memory_mb, _is_transfer(spec))
        self._bookings[key] = booking
        return booking

    def restore(self, spec: TaskSpec, *, cpu_ids: Iterable[int]) -> None:
        """Book for a task taken over from a former agent, even beyond what is left.

        cpu_ids are the cores it is known to have, none where it has not started or cannot
        be asked. It never has fewer than it was promised: what is not known is filled up
        with free cores, and with taken ones only when nothing is free.
        """
        key = (spec.task_id, spec.offer)
        self._bookings.pop(key, None)
        known = tuple(cpu_ids)
        if len(known) > spec.cpu_cores:
            # Nothing pins it, so it may count with any of its cores, those that are free first.
            free = set(self._free_cores())
            known = tuple(sorted(known, key=lambda core: core not in free))
        cores = dict.fromkeys((*known, *self._free_cores(), *self._cpu_ids))
        booked = tuple(cores)[: spec.cpu_cores]
        self._bookings[key] = Booking(booked, spec.gpu_ids, spec.gpu_memory_mb, _is_transfer(spec))

    def release(self, key: TaskKey) -> None:
        """Give back what a task had; one without a booking is ignored."""
        self._bookings.pop(key, None)

    def _free_cores(self) -> list[int]:
        taken = {core for booking in self._bookings.values() for core in booking.cpu_ids}
        return [core for core in self._cpu_ids if core not in taken]

    def _check_slot(self, *, is_transfer: bool) -> None:
        """Refuse when no slot of the kind is free."""
        if is_transfer:
            taken, limit, what = self.transfers_booked, transfer_slots(self._slots), "transfers"
        else:
            taken, limit, what = self.slots_booked, self._slots, "slots"
        if taken >= limit:
            raise Rejected(f"All {limit} {what} are taken.", code="no_free_slot")

    def _check_kind(self, spec: TaskSpec) -> None:
        """Refuse what no waiting can make possible."""
        if not _is_transfer(spec) and spec.script_type not in self._script_types:
            raise Rejected(
                f"No interpreter for {spec.script_type} scripts.", code="script_type_unsupported"
            )
        unknown = [uuid for uuid in spec.gpu_ids if uuid not in self._gpu_memory_mb]
        if unknown:
            raise Rejected(f"This host has no GPU {unknown[0]}.", code="gpu_unavailable")

    def _check_gpu(self, uuid: str, memory_mb: int) -> None:
        """Refuse a GPU that is promised as a whole, or whose memory is."""
        shares = [booking for booking in self._bookings.values() if uuid in booking.gpu_ids]
        whole = memory_mb == 0 or any(booking.gpu_memory_mb == 0 for booking in shares)
        if shares and whole:
            raise Rejected(f"GPU {uuid} is booked by another task.", code="gpu_unavailable")
        free_mb = self._gpu_memory_mb[uuid] - sum(booking.gpu_memory_mb for booking in shares)
        if memory_mb > free_mb:
            detail = f"{memory_mb} MB asked, {free_mb} MB of GPU {uuid} not booked."
            raise Rejected(detail, code="gpu_unavailable")


def _is_transfer(spec: TaskSpec) -> bool:
    return spec.kind != "script"
