"""What this host has and uses: cores, memory, GPUs, and the use of process trees.

`ResourceUtil` answers with what the agent may use (control group and affinity first), not
with what the machine has. CPU use is taken over the time since the last question about
the same tree, 100 is one full core. Robust to processes that vanish meanwhile. Not
thread-safe: one sampler owns one instance. Never changes anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from agent_client import cgroup
from agent_client.gpu import GpuReader
from agent_client.process_table import ProcessRow, ProcessTable, read_process_table
from agent_client.protocol.messages import Gpu, Resources

_MIN_INTERVAL_SECONDS = 0.05
"""Below this the clock ticks of /proc (10 ms) make nonsense of a rate: the last one is kept."""


@dataclass(frozen=True, slots=True)
class TreeSample:
    """A process and its descendants: cpu_usage 100 is one core, memory is resident bytes."""

    pid: int
    cpu_usage: float
    memory_bytes: int
    memory_usage: float
    processes: int
    pids: tuple[int, ...]


@dataclass(slots=True)
class _Mark:
    """CPU seconds of a tree at a moment, and the rate found then."""

    started: float
    at: float
    cpu_seconds: float
    rate: float


class ResourceUtil:
    """Reads cores, memory, GPUs and process trees of this host."""

    def __init__(
        self,
        *,
        root: Path = Path("/"),
        state_dir: Path = Path("/"),
        gpus: GpuReader | None = None,
        clock: Callable[[], float] = time.monotonic,
        read_table: Callable[[], ProcessTable] = read_process_table,
    ) -> None:
        """Keep where to look; root is the file system of the control groups."""
        self._root = root
        self._state_dir = state_dir
        self._gpus = gpus or GpuReader()
        self._clock = clock
        self._read_table = read_table
        self._marks: dict[int, _Mark] = {}
        self._own = psutil.Process()
        self._memory_limit = cgroup.memory_limit_bytes(root)
        machine = int(psutil.virtual_memory().total)
        self._memory_total = min(machine, self._memory_limit or machine)
        # The first answers of these two are 0 by definition; ask once so that ours are not.
        self._own.cpu_percent(None)
        psutil.cpu_percent(None)

    def get_gpu_info(self, task_of: Mapping[int, int] | None = None) -> list[Gpu]:
        """Return the GPUs; task_of maps process ids to task ids, all others are foreign."""
        return self._gpus.read(task_of)

    def get_cpu_core_count(self) -> int:
        """Return the cores that may be used: quota and affinity first, then the machine's."""
        cores = _affinity_cores() or psutil.cpu_count() or 1
        quota = cgroup.cpu_limit_cores(self._root)
        return max(1, min(cores, int(quota))) if quota else cores

    def get_memory_total(self) -> int:
        """Return the bytes of memory that may be used: the control group's or the machine's."""
        return self._memory_total

    def get_cpu_usage(self, pid: int) -> float:
        """Return the CPU use of a process and all its descendants; 0 when it is gone."""
        sample = self.sample_tree(pid)
        return sample.cpu_usage if sample else 0.0

    def get_memory_usage(self, pid: int) -> int:
        """Return the resident bytes of a process and all its descendants; 0 when it is gone."""
        return sum(row.rss_bytes for row in self._read_table().tree(pid))

    def sample_tree(self, pid: int) -> TreeSample | None:
        """Return a sample of one process tree, None when the process is gone."""
        return self._sample(pid, self._read_table())

    def sample_trees(self, pids: Iterable[int]) -> dict[int, TreeSample]:
        """Return samples of many trees from one look at the processes; gone ones are left out.

        Trees that are not asked for any more are forgotten.
        """
        wanted, table = set(pids), self._read_table()
        self._marks = {pid: mark for pid, mark in self._marks.items() if pid in wanted}
        samples = {pid: self._sample(pid, table) for pid in wanted}
        return {pid: sample for pid, sample in samples.items() if sample is not None}

    def sample_host(self, *, cpu_cores_booked: int = 0) -> Resources:
        """Return a sample of the host since the last one."""
        used, total = self._memory()
        with self._own.oneshot():
            own_cpu, own_memory = self._own.cpu_percent(None), self._own.memory_info().rss
        return Resources(
            cpu_usage=psutil.cpu_percent(None),
            memory_usage=round(100 * used / total, 1) if total else 0.0,
            memory_used_bytes=used,
            load_1m=_load()[0],
            disk_usage=_disk_percent(self._state_dir),
            uptime_seconds=max(0.0, time.time() - psutil.boot_time()),
            cpu_cores_booked=cpu_cores_booked,
            agent_cpu_usage=own_cpu,
            agent_memory_bytes=own_memory,
        )

    def close(self) -> None:
        """Let the GPU driver go."""
        self._gpus.close()

    def _memory(self) -> tuple[int, int]:
        """Return used and total bytes, of the control group where it limits us."""
        memory = psutil.virtual_memory()
        if self._memory_limit and self._memory_limit < memory.total:
            used = cgroup.memory_used_bytes(self._root)
            if used is not None:
                return used, self._memory_limit
        return int(memory.total - memory.available), int(memory.total)

    def _sample(self, pid: int, table: ProcessTable) -> TreeSample | None:
        rows = table.tree(pid)
        if not rows:
            self._marks.pop(pid, None)
            return None
        memory = sum(row.rss_bytes for row in rows)
        return TreeSample(
            pid=pid,
            cpu_usage=round(self._rate(pid, rows), 1),
            memory_bytes=memory,
            memory_usage=round(100 * memory / max(1, self._memory_total), 1),
            processes=len(rows),
            pids=tuple(row.pid for row in rows),
        )

    def _rate(self, pid: int, rows: list[ProcessRow]) -> float:
        """Return CPU % since the last sample of this tree; the first one is 0.

        A parent that waits for a child inherits its CPU time, so the sum over the tree only
        grows, and processes that live shorter than an interval count as well. A process that
        left the tree takes its time along: the sum then falls and the rate is 0 once.
        """
        now, spent = self._clock(), sum(row.cpu_seconds for row in rows)
        mark = self._marks.get(pid)
        if mark is None or mark.started != rows[0].started:  # new, or its pid was given again
            self._marks[pid] = _Mark(rows[0].started, now, spent, 0.0)
            return 0.0
        elapsed = now - mark.at
        if elapsed >= _MIN_INTERVAL_SECONDS:
            rate = max(0.0, 100 * (spent - mark.cpu_seconds) / elapsed)
            self._marks[pid] = mark = _Mark(mark.started, now, spent, rate)
        return mark.rate


def _affinity_cores() -> int:
    """Return the number of cores this process may run on, 0 where that is unknown."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else 0


def _load() -> tuple[float, float, float]:
    """Return the load of 1, 5 and 15 minutes; zeros where there is none."""
    try:
        return os.getloadavg()
    except OSError:
        return (0.0, 0.0, 0.0)


def _disk_percent(path: Path) -> float:
    """Return the fill of path's file system; of its nearest parent while it is missing."""
    for place in (path, *path.parents):
        try:
            return float(psutil.disk_usage(str(place)).percent)
        except OSError:
            continue
    return 0.0
