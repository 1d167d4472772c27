"""The wall clock of agent and server jumps by an hour and by ten years, there and back."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.clock import HOUR, TEN_YEARS, Clock, build_shim
from tests.faults.lab import SLOTS, Lab, running_lab
from tests.faults.trials import trials

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of services")]

ROW = "wall clock +- 1 h, +- 10 y"
JUMPS = (HOUR, -HOUR, TEN_YEARS, -TEN_YEARS)


@pytest.fixture
def clocks(tmp_path: Path) -> tuple[Clock, Clock]:
    library = build_shim(tmp_path)
    return Clock(library, tmp_path / "server.clock"), Clock(library, tmp_path / "agent.clock")


@pytest.fixture
def lab(tmp_path: Path, clocks: tuple[Clock, Clock]) -> Iterator[Lab]:
    server, agent = clocks
    with running_lab(tmp_path, agents=(), **server.environment) as found:
        limit = {"AGENT_TASK_MAX_CONCURRENT_TASKS": SLOTS}
        found.stack.start_agent("host1", **agent.environment, **limit)
        yield found


def test_shim_moves_the_wall_clock_only(clocks: tuple[Clock, Clock]) -> None:
    """A test of the tool: without it the others could not fail."""
    clock = clocks[0]
    clock.jump(TEN_YEARS)
    code = "import time; print(time.time(), time.monotonic())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clock.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    wall, monotonic = (float(word) for word in done.stdout.split())
    assert abs(wall - time.time() - TEN_YEARS) < 60
    assert abs(monotonic - time.monotonic()) < 60


def test_jumps_change_nothing(lab: Lab, clocks: tuple[Clock, Clock]) -> None:
    count = trials(ROW, short=6, long=60)
    for number in range(count):
        # A limit of a minute is not reached because the wall clock says so.
        lab.submit(8, timeout=60)
        lab.pause()
        clock = clocks[number % 2]
        clock.jump(JUMPS[number // 2 % len(JUMPS)])
        lab.pause(2)
        clock.jump(0)
    assert lab.verdict() == []
