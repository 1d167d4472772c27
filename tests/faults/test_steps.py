"""kill -9 at every numbered step of start, ship and finish: main agent, sub-agents, zygote.

A step is a call that changes a disk or speaks; the process dies before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.crash_points import COUNT, KILL, Order
from tests.faults.kills import zygote_of
from tests.faults.lab import Lab, running_lab
from tests.faults.striking import (
    Striker,
    count_steps,
    steps_of_a_sub_agent,
    strike_each,
    wait_final,
)
from tests.faults.trials import IS_LONG, planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.KILLS),
    pytest.mark.xdist_group("faults of steps"),
]

AGENTS = ("a", "b", "c", "d")
LINES = 5
SHORT_SAMPLE = 25
SETTLED_SECONDS = 1.2
"""A zygote that dies younger three times running is given up by its agent."""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A server without hosts; tasks are short, so that every run has the same steps."""
    with running_lab(tmp_path, agents=(), lines=LINES, wide_each=0) as found:
        yield found


def test_main_agent_killed_at_its_steps(lab: Lab) -> None:
    strikers = [Striker(lab, name, "main") for name in AGENTS]
    for one in strikers:
        one.start()
    numbers = list(range(1, len(count_steps(lab, strikers[0])) + 1))
    if not IS_LONG:
        numbers = sorted(lab.chance.sample(numbers, min(SHORT_SAMPLE, len(numbers))))
    for _ in range(planned(short=1, long=6)):
        hits = 0
        for start in range(0, len(numbers), len(AGENTS)):
            orders = [Order(number, KILL) for number in numbers[start : start + len(AGENTS)]]
            hits += strike_each(lab, strikers, orders)
        lab.made(hits)
        assert hits > 0.8 * len(numbers), "the numbers must be those of steps that there are"
    assert lab.verdict() == []


def test_sub_agent_killed_at_its_steps(lab: Lab) -> None:
    """Every sub-agent takes the next number, so one batch of tasks meets every step."""
    striker = Striker(lab, "a", "tasks")
    striker.start()
    last = len(steps_of_a_sub_agent(lab, striker))
    for _ in range(planned(short=1, long=4)):
        before = len(striker.struck())
        striker.list_orders(Order(number, KILL) for number in range(1, last + 1))
        lab.submit(last)
        lab.settle()
        hit = striker.struck()[before:]
        lab.excuses.supervisor_killed.update(one.task_id for one in hit)
        lab.made(len(hit))
        assert len(hit) > 0.8 * last, "the numbers must be those of steps that there are"
    assert lab.verdict() == []


def test_zygote_killed_at_its_steps(lab: Lab) -> None:
    """Each zygote takes the next number: before it is ready, forks, answers, collects."""
    striker = Striker(lab, "a", "zygote")
    striker.list_orders([Order(1, COUNT)])
    striker.start()
    wait_final(lab, lab.submit(1))
    last = len(striker.struck())
    for _ in range(planned(short=1, long=10)):
        before = len(striker.struck())
        wait_for(lambda: has_settled(zygote_of(lab, striker.name)))
        striker.list_orders(Order(number, KILL) for number in range(1, last + 1))
        wait_for(lambda: zygote_of(lab, striker.name)).kill()
        wait_for(lambda b=before: pass_through_zygotes(lab, striker, b, last), seconds=120)
        lab.made(last)
    assert lab.verdict() == []


def pass_through_zygotes(lab: Lab, striker: Striker, before: int, last: int) -> bool:
    """Give the zygote that lives now a task; returns whether all orders were followed."""
    wait_for(lambda: has_settled(zygote_of(lab, striker.name)))
    lab.excuses.starts_lost += 1
    wait_final(lab, lab.submit(1))
    return len(striker.struck()) - before >= last


def has_settled(process: psutil.Process | None) -> bool:
    """Return whether a process has lived for a while."""
    try:
        return process is not None and time.time() - process.create_time() > SETTLED_SECONDS
    except psutil.NoSuchProcess:
        return False
