"""Thousands of tasks leave nothing behind in agent, zygote and server (R28)."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.faults import rows
from tests.faults.kills import zygote_of
from tests.faults.lab import Lab, running_lab
from tests.faults.trials import IS_LONG, note_fact, planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.SOAK),
    pytest.mark.skipif(not IS_LONG, reason="a soak takes minutes: make faults"),
]

BATCH = 50
WARM_UP = 2
"""The first batches fill caches and pools."""
FEWEST_BATCHES = 9
MOST_AGENT_BYTES = 120 * 1024**2


class Figures(NamedTuple):
    """What a process has at one moment."""

    memory_bytes: int
    descriptors: int
    threads: int
    dead_children: int


TOLERATED = Figures(memory_bytes=8 * 1024**2, descriptors=8, threads=4, dead_children=2)
"""What may come and go between two moments, and is no slope."""


def test_nothing_grows_with_the_number_of_tasks(tmp_path: Path) -> None:
    count = max(FEWEST_BATCHES, planned(short=0, long=40))
    with running_lab(tmp_path, lines=2, pause=0, wide_each=10) as lab:
        seen: dict[str, list[Figures]] = {}
        for _ in range(count):
            lab.submit(BATCH)
            lab.settle()
            for name, process in processes(lab).items():
                seen.setdefault(name, []).append(figures(process))
        lab.made(count * BATCH)
        assert lab.verdict() == []
    for name, all_figures in seen.items():
        growth = slope(all_figures[WARM_UP:])
        note_fact(f"{name}: {growth.memory_bytes / 1024**2:+.1f} MiB over {count * BATCH} tasks")
        assert all(a <= b for a, b in zip(growth, TOLERATED, strict=True)), (name, growth)
    assert seen["agent"][-1].memory_bytes < MOST_AGENT_BYTES


def processes(lab: Lab) -> dict[str, psutil.Process]:
    """Return the processes that live as long as the installation."""
    zygote = zygote_of(lab, "host1")
    assert zygote is not None
    assert lab.stack.server is not None
    return {
        "agent": psutil.Process(lab.stack.agents["host1"].pid),
        "zygote": zygote,
        "server": psutil.Process(lab.stack.server.pid),
    }


def figures(process: psutil.Process) -> Figures:
    """Return what a process has now."""
    dead = [one for one in process.children() if one.status() == psutil.STATUS_ZOMBIE]
    with process.oneshot():
        return Figures(
            process.memory_info().rss, process.num_fds(), process.num_threads(), len(dead)
        )


def slope(found: list[Figures]) -> Figures:
    """Return by how much the last third is above the first one, figure by figure."""
    third = max(1, len(found) // 3)
    first, last = found[:third], found[-third:]
    return Figures(
        *(
            int(statistics.median(late) - statistics.median(early))
            for early, late in zip(zip(*first, strict=True), zip(*last, strict=True), strict=True)
        )
    )
