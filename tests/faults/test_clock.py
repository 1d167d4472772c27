"""The wall clock of agent and server jumps by an hour and by ten years, there and back."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.clock import HOUR, TEN_YEARS, Clock, build_shim
from tests.faults.database import epoch_of
from tests.faults.lab import Lab, running_lab
from tests.faults.trials import planned

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of the clock")]

JUMPS = (-TEN_YEARS, HOUR, TEN_YEARS, -HOUR)
OTHER, HOST = "other", "host1"
STEADY_SECONDS = 12
"""Longer than a host may be silent: a jump must not make the others look so."""
OFFLINE_SECONDS = 60
"""After a jump every host gets a whole window to speak before anything is said about it."""


@pytest.fixture
def clocks(tmp_path: Path) -> tuple[Clock, Clock]:
    library = build_shim(tmp_path)
    return Clock(library, tmp_path / "server.clock"), Clock(library, tmp_path / "agent.clock")


@pytest.fixture
def lab(tmp_path: Path, clocks: tuple[Clock, Clock]) -> Iterator[Lab]:
    server, agent = clocks
    with running_lab(tmp_path, agents=(), **server.environment) as found:
        # The usual token is of ninety days: ten years later it has expired, as it should.
        found.stack.authorize(found.stack.manage("token", "admin", "--days", "0").splitlines()[-1])
        for name in (HOST, OTHER):
            found.start_agent(name, **agent.environment)
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


@pytest.mark.row(rows.CLOCK)
def test_jumps_change_nothing(lab: Lab, clocks: tuple[Clock, Clock]) -> None:
    """Each jump on either clock: no limit is reached, no host is given up, no task is lost."""
    epochs = {name: epoch_of(lab.stack, name) for name in (HOST, OTHER)}
    for number in range(planned(short=8, long=50)):
        # A limit of a minute is not reached because the wall clock says so.
        lab.submit(8, timeout=60)
        lab.pause()
        clock = clocks[number % 2]
        clock.jump(JUMPS[number // 2 % len(JUMPS)])
        lab.pause(1.5)
        clock.jump(0)
        lab.made()
    assert lab.verdict() == []
    assert {name: epoch_of(lab.stack, name) for name in epochs} == epochs, "nobody was cut off"


@pytest.mark.row(rows.CLOCK)
def test_jump_while_a_host_is_silent(lab: Lab, clocks: tuple[Clock, Clock]) -> None:
    """The silent host is shown, the other one is not, whatever the server's clock says."""
    for number in range(planned(short=1, long=12)):
        ids = lab.submit(8)
        silent = lab.stack.agents[HOST]
        silent.send_signal(signal.SIGSTOP)
        try:
            clocks[0].jump(JUMPS[number % len(JUMPS)])
            watch(lab, seconds=STEADY_SECONDS)
            wait_for(lambda: lab.stack.online_agent(HOST) is None, seconds=OFFLINE_SECONDS)
            assert lab.stack.online_agent(OTHER)
        finally:
            clocks[0].jump(0)
            silent.send_signal(signal.SIGCONT)
        wait_for(lambda: lab.stack.online_agent(HOST), seconds=OFFLINE_SECONDS)
        lab.wait_started(ids)
        lab.made()
    assert lab.verdict() == []


def watch(lab: Lab, *, seconds: float) -> None:
    """See that the host that speaks is online all the time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        assert lab.stack.online_agent(OTHER), "a jump is no silence"
        time.sleep(0.5)
