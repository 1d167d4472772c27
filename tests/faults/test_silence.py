"""A host falls silent for longer than any time-out: it is shown so, and its tasks go on.

Half-open lines never heal: both sides have to notice and begin anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.lab import Lab, heal_seconds, running_lab
from tests.faults.lines import Line, lines_of, wait_offline
from tests.faults.trials import note_fact, planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.NETWORK),
    pytest.mark.xdist_group("network silence"),
]

SHORTEST_SECONDS, LONGEST_SECONDS = 12.0, 25.0
MUTE: dict[str, dict[str, object]] = {
    "stalled": {"stall_up": True, "stall_down": True},
    "half-open": {"drop_up": True, "drop_down": True},
    "mute": {"drop_up": True},
    "held-back": {"stall_up": True},
}
"""Ways in which the server hears nothing."""
DEAF: dict[str, dict[str, object]] = {"deaf": {"drop_down": True}}
"""Ways in which it hears a host that does not hear it."""
POLLING = {"half-open", "held-back"}
LINES, PAUSE_SECONDS = 40, 0.4
"""A script lasts 16 s at least: it begins before the silence and ends in it or after it."""


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    path = tmp_path_factory.mktemp("silence")
    with running_lab(path, agents=(), lines=LINES, pause=PAUSE_SECONDS) as found:
        yield found


@pytest.fixture
def lines(lab: Lab) -> Iterator[list[Line]]:
    """A host for each way of falling silent, some of them polling."""
    options = {
        name: {"AGENT_CONNECTION_TRANSPORT": "polling" if name in POLLING else "auto"}
        for name in (*MUTE, *DEAF)
    }
    with lines_of(lab, options) as found:
        yield found


def test_silent_hosts_are_shown_and_their_tasks_go_on(lab: Lab, lines: list[Line]) -> None:
    slowest = 0.0
    for _ in range(planned(short=1, long=22)):
        tasks = {line.name: lab.submit(2, agent_id=line.agent_id) for line in lines}
        lab.wait_started([task_id for ids in tasks.values() for task_id in ids])
        before = {line.name: line.touched() for line in lines}
        fell_silent = time.monotonic()
        for line in lines:
            line.proxy.set(**{**MUTE, **DEAF}[line.name])
        slowest = max(slowest, show_silence(lab, lines, tasks, fell_silent))
        lasts = lab.chance.uniform(SHORTEST_SECONDS, LONGEST_SECONDS)
        time.sleep(max(0.0, fell_silent + lasts - time.monotonic()))
        for line in lines:
            assert line.touched() > before[line.name]
            line.proxy.set()
        found = come_back(lab, lines)
        lab.made(len(lines))
        assert found == []
    note_fact(f"silence was shown within {slowest:.1f} s")


def show_silence(
    lab: Lab, lines: list[Line], tasks: dict[str, list[int]], fell_silent: float
) -> float:
    """Wait until each mute host is shown as silent, its tasks as unreachable; how long it took."""
    slowest = 0.0
    for line in (one for one in lines if one.name in MUTE):
        slowest = max(slowest, wait_offline(line, fell_silent))
        shown = [lab.stack.task(task_id) for task_id in tasks[line.name]]
        assert [one["status"] for one in shown] == ["running", "running"]
        assert all(one["unreachable"] for one in shown)
    return slowest


def come_back(lab: Lab, lines: list[Line]) -> list[object]:
    """Wait until all are back, then give the verdict on what they ran meanwhile."""
    bound = heal_seconds()
    for line in lines:
        wait_for(lambda one=line: not one.is_offline(), seconds=bound)
    return list(lab.verdict(within=bound))
