"""Looks at the host and at each task's processes once a second, in a thread of its own.

The loop's thread never waits for /proc or a driver: it says which tasks to watch and reads
the last finished sample. A process on a GPU belongs to the task whose tree it is in; all
others are foreign. Without running tasks the host is looked at in the heartbeat's pace.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_client.booking import TaskKey
from agent_client.protocol.messages import Gpu, Resources, SubAgent

if TYPE_CHECKING:
    from agent_client.resource_util import ResourceUtil, TreeSample
    from agent_client.tasks.supervisor import LocalTask

logger = logging.getLogger(__name__)

BUSY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A running task: the root of its process tree, its script, and since when."""

    root_pid: int
    script_pid: int
    started_at: float


@dataclass(frozen=True, slots=True)
class HostSample:
    """Everything that one look found."""

    resources: Resources | None = None
    gpus: tuple[Gpu, ...] = ()
    sub_agents: tuple[SubAgent, ...] = ()


class Sampler:
    """Takes samples in a thread; `latest` is the last whole one."""

    def __init__(
        self,
        resources: ResourceUtil,
        *,
        cpu_cores_booked: Callable[[], int],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """resources is used by the sampling thread alone from `start` on."""
        self._resources = resources
        self._cpu_cores_booked = cpu_cores_booked
        self._wall_clock = wall_clock
        self._watched: dict[TaskKey, Watched] = {}
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.idle_seconds = 2.0
        """Pause between samples while no task runs."""
        self.latest = HostSample()
        self.sampled_at: float | None = None
        """When the last whole sample was taken, monotonic seconds."""

    def watch(self, key: TaskKey, watched: Watched) -> None:
        """Sample a task's processes from now on."""
        self._watched = {**self._watched, key: watched}

    def watch_task(self, task: LocalTask) -> None:
        """Sample a running task from its sub-agent down: what detaches itself counts too."""
        if task.identity is None:
            return
        record = task.directory.run()
        root_pid = record.sub_agent_pid if record else 0
        pid = task.identity.pid
        started_at = task.started_at or self._wall_clock()
        self.watch(task.key, Watched(root_pid or pid, pid, started_at))

    def unwatch(self, key: TaskKey) -> None:
        """Sample a task no more."""
        self._watched = {other: one for other, one in self._watched.items() if other != key}

    def start(self) -> None:
        """Begin to sample."""
        self._thread = threading.Thread(target=self._work, name="sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that hangs in a driver is left behind."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(BUSY_SECONDS)

    def sample(self) -> HostSample:
        """Take one sample now."""
        watched = self._watched
        trees = (
            self._resources.sample_trees(one.root_pid for one in watched.values())
            if watched
            else {}
        )
        task_of = {
            pid: key[0]
            for key, one in watched.items()
            if one.root_pid in trees
            for pid in trees[one.root_pid].pids
        }
        gpus = tuple(self._resources.get_gpu_info(task_of))
        return HostSample(
            resources=self._resources.sample_host(cpu_cores_booked=self._cpu_cores_booked()),
            gpus=gpus,
            sub_agents=tuple(
                self._sub_agent(key, one, trees[one.root_pid], gpus)
                for key, one in watched.items()
                if one.root_pid in trees
            ),
        )

    def _work(self) -> None:
        """Sample until stopped; a look that fails is logged and the next one tried."""
        while not self._stopping.is_set():
            try:
                self.latest = self.sample()
                self.sampled_at = time.monotonic()
            except Exception:  # a driver or /proc may fail in any way; beats must go on
                logger.exception("the host could not be sampled")
            self._stopping.wait(BUSY_SECONDS if self._watched else self.idle_seconds)
        self._resources.close()

    def _sub_agent(
        self, key: TaskKey, watched: Watched, tree: TreeSample, gpus: tuple[Gpu, ...]
    ) -> SubAgent:
        return SubAgent(
            task_id=key[0],
            offer=key[1],
            pid=watched.script_pid,
            cpu_usage=tree.cpu_usage,
            memory_bytes=tree.memory_bytes,
            memory_usage=tree.memory_usage,
            processes=tree.processes,
            running_seconds=max(0.0, self._wall_clock() - watched.started_at),
            gpu_info=tuple(gpu for gpu in gpus if key[0] in gpu.tasks),
        )
