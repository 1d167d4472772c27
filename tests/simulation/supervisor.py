"""A stand-in for the supervisor: the same promises over the simulated disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from agent_client.protocol.messages import HoldState, TaskSpec
from agent_client.tasks.identity import ProcessIdentity
from agent_client.tasks.taskdir import ExitRecord
from tests.simulation.disk import Disk, Entry, Key

PID = 2**22 + 1
"""No process has it."""


@dataclass(eq=False)
class HeldTask:
    """A task as the agent's memory has it."""

    key: Key
    spec: TaskSpec
    entry: Entry
    state: HoldState = "accepted"
    identity: ProcessIdentity | None = None
    started_at: float | None = None
    exit: ExitRecord | None = None
    unkillable: bool = False
    stop: str = ""
    cpu_ids: tuple[int, ...] = field(default=())

    @property
    def directory(self):
        return self.entry.directory


class SimSupervisor:
    """Starts, adopts, stops and forgets the tasks of one simulated host."""

    def __init__(self, disk: Disk, clock: Callable[[], float]) -> None:
        self._disk = disk
        self._clock = clock
        self._tasks: dict[Key, HeldTask] = {}
        self.on_change: Callable[[HeldTask], None] = lambda task: None

    def tasks(self) -> Mapping[Key, HeldTask]:
        return self._tasks

    def adopt(self) -> None:
        """Take over what is on the disk, as its records say."""
        for key, entry in sorted(self._disk.entries.items()):
            task = self._tasks[key] = HeldTask(key, entry.spec, entry, cpu_ids=entry.cpu_ids)
            if entry.is_ordered:
                task.state = "claimed"
                if entry.process is None and entry.exit is None:
                    self._disk.abandon(entry)
        self.look()

    def accept(self, spec: TaskSpec) -> HeldTask:
        key = spec.task_id, spec.offer
        if key not in self._tasks:
            self._tasks[key] = HeldTask(key, spec, self._disk.accept(spec))
        return self._tasks[key]

    async def launch(self, key: Key, *, cpu_ids: Sequence[int], gpu_ids: Sequence[str]) -> None:
        task = self._tasks[key]
        if task.state == "accepted":
            self._move(task, "claimed")
            self._disk.order(task.entry, tuple(cpu_ids))

    def stop_task(self, key: Key, *, reason: str, grace_seconds: float) -> None:
        task = self._tasks[key]
        task.stop = reason
        if task.state == "running" and task.entry.has_sub_agent:
            self._disk.stop(task.entry, reason, self._clock())

    def forget(self, key: Key) -> None:
        task = self._tasks.pop(key)
        if task.state not in ("accepted", "finished"):
            raise AssertionError(f"{key} is {task.state} and was to be forgotten")
        self._disk.throw(key)

    def look(self) -> None:
        """See what became of every task that was started."""
        for task in list(self._tasks.values()):
            if task.state in ("claimed", "running"):
                self._look_at(task)

    def _look_at(self, task: HeldTask) -> None:
        entry = task.entry
        if task.state == "claimed" and entry.process is not None:
            task.identity, task.started_at = ProcessIdentity(PID, 1, str(entry.boot)), self._clock()
            self._move(task, "running")
            if task.stop:
                self.stop_task(task.key, reason=task.stop, grace_seconds=0.0)
        is_dead = not entry.has_sub_agent and not entry.is_forked
        if entry.exit is None and (is_dead or entry.is_abandoned):
            self._disk.end_lost(entry, self._clock())
        if entry.exit is not None:
            task.exit = entry.exit
            self._move(task, "finished")

    def _move(self, task: HeldTask, state: HoldState) -> None:
        task.state = state
        self.on_change(task)
