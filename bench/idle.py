"""What server and agent use while there is nothing to do."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.figures import Row
from tests.e2e.stack import Stack

MIB = 1024 * 1024
_SETTLE_SECONDS = 5.0


def idle_use(stack: Stack, agent_pid: int, seconds: float = 10.0) -> list[Row]:
    """Return memory (PSS) and CPU of the server's and the agent's process trees."""
    assert stack.server is not None
    time.sleep(_SETTLE_SECONDS)
    trees = {"server": tree_of(stack.server.pid), "agent": tree_of(agent_pid)}
    before = {name: cpu_seconds(tree) for name, tree in trees.items()}
    time.sleep(seconds)
    bars = {"server": (200.0, 130.0), "agent": (60.0, 40.0)}
    rows = []
    for name, tree in trees.items():
        floor, goal = bars[name]
        memory = sum(process.memory_full_info().pss for process in tree) / MIB
        note = f"{len(tree)} processes"
        rows.append(Row(f"{name} idle, memory", "MiB", memory, floor=floor, goal=goal, note=note))
        share = 100 * (cpu_seconds(tree) - before[name]) / seconds
        rows.append(Row(f"{name} idle, CPU", "% of a core", share, note=f"over {seconds:.0f} s"))
    return rows


def tree_of(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Return the CPU seconds of processes that still live, without those of their children.

    Clock ticks miss work that is shorter than a tick, which is all that an idle process
    does; the scheduler's own count does not, but forgets threads that ended. The larger counts.
    """
    total = 0.0
    for process in processes:
        if process.is_running():
            times = process.cpu_times()
            total += max(times.user + times.system, _scheduled_seconds(process.pid))
    return total


def _scheduled_seconds(pid: int) -> float:
    """Return the seconds that the threads of a process were on a core, to the nanosecond."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):
            total += int(thread.read_text().split()[0])
    return total / 1e9


def resident_mb(process: psutil.Process) -> float:
    """Return the resident memory of one process in MiB."""
    return float(process.memory_info().rss) / MIB
