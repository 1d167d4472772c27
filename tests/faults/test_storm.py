"""A whole fleet comes back at once after a restart of its server (R25)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.crowd import Crowd
from tests.faults.kills import kill_server
from tests.faults.lab import Lab, running_lab
from tests.faults.trials import IS_LONG, SCALE, note_fact, planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.CROWD),
    pytest.mark.xdist_group("faults of services"),
]

HOSTS = max(50, round(500 * SCALE)) if IS_LONG else 50
BACK_SECONDS = 60
MOST_MEMORY_BYTES = 2 * 1024**3
ANSWER_SECONDS = 30


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with running_lab(tmp_path, agents=()) as found:
        yield found


@pytest.fixture
def crowd(lab: Lab) -> Iterator[Crowd]:
    found = Crowd(lab.stack, HOSTS, rng=lab.chance)
    found.start()
    yield found
    found.close()


def test_all_hosts_are_back_after_a_restart(lab: Lab, crowd: Crowd) -> None:
    wait_for(lambda: crowd.connected() == HOSTS, seconds=BACK_SECONDS)
    for _ in range(planned(short=1, long=4)):
        before = crowd.welcomes()
        kill_server(lab)
        began = time.monotonic()
        slowest = 0.0
        while not all(map(int.__lt__, before, crowd.welcomes())):
            slowest = max(slowest, answer_seconds(lab))
            assert time.monotonic() - began < BACK_SECONDS, f"{crowd.connected()} are back"
            time.sleep(0.1)
        note_fact(
            f"{HOSTS} hosts were back within {time.monotonic() - began:.0f} s,"
            f" the slowest answer meanwhile took {slowest:.1f} s"
        )
        assert lab.stack.server is not None
        assert psutil.Process(lab.stack.server.pid).memory_info().rss < MOST_MEMORY_BYTES
        lab.made()
    assert lab.verdict() == []


def answer_seconds(lab: Lab) -> float:
    """Return how long a simple question to the server takes; fails when that is too long."""
    began = time.monotonic()
    answer = requests.get(f"{lab.stack.url}/healthz", timeout=ANSWER_SECONDS)
    assert answer.status_code == 200
    return time.monotonic() - began
