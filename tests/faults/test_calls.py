"""Every call that changes a disk fails once, inside main agent and sub-agents.

A task may fail to start or lose bytes, which it then says exactly; it never lies, and the
agent needs no hand. What the product asks of a disk goes through the functions of `os`,
which are replaced in the process; strace does the same from outside (test_strace).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import rows
from tests.faults.crash_points import KILL, Order
from tests.faults.first_start import count_start_steps, strike_first_start
from tests.faults.lab import Lab, running_lab
from tests.faults.striking import (
    Striker,
    count_steps,
    disk_steps,
    steps_of_a_sub_agent,
    strike_each,
)
from tests.faults.trials import IS_LONG, planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.CALLS),
    pytest.mark.xdist_group("faults of calls"),
]

ERRORS = ("EIO", "ENOSPC", "EINTR")
AGENTS = tuple("abcdefgh")
LINES = 5
SHORT_SAMPLE = 24
FIRST_STARTS = 4


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server without hosts; tasks are short, so that every run has the same steps."""
    with running_lab(tmp_path_factory.mktemp("calls"), agents=(), lines=LINES, wide_each=0) as it:
        it.excuses.cuts_allowed = True
        yield it


def test_every_call_of_a_sub_agent_fails_once(lab: Lab) -> None:
    striker = Striker(lab, "sub", "tasks")
    striker.start()
    steps = disk_steps(steps_of_a_sub_agent(lab, striker))
    for error in ERRORS * planned(short=1, long=3):
        before = len(striker.struck())
        striker.list_orders(Order(number, error) for number in steps)
        lab.submit(len(steps), agent_id=striker.agent_id)
        lab.settle()
        hits = striker.struck()[before:]
        lab.excuses.start_hindered.update(one.task_id for one in hits)
        lab.made(len(hits))
        assert len(hits) > 0.8 * len(steps), "the numbers must be those of steps that there are"
    assert lab.verdict() == []


def test_every_call_of_the_main_agent_fails_once(lab: Lab) -> None:
    strikers = [Striker(lab, name, "main") for name in AGENTS]
    for one in strikers:
        one.start()
    steps = disk_steps(count_steps(lab, strikers[0]))
    orders = [Order(number, error) for number in steps for error in ERRORS]
    if not IS_LONG:
        orders = lab.chance.sample(orders, min(SHORT_SAMPLE * len(ERRORS), len(orders)))
    for _ in range(planned(short=1, long=3)):
        for start in range(0, len(orders), len(AGENTS)):
            lab.made(strike_each(lab, strikers, orders[start : start + len(AGENTS)]))
    assert lab.verdict() == []


def test_first_start_survives_what_a_disk_may_do(lab: Lab) -> None:
    """The host gets one identity, whatever happened while it was written down."""
    calls = count_start_steps(lab)
    orders = [Order(number, error) for number in disk_steps(calls) for error in ERRORS]
    orders += [Order(number, KILL) for number in range(1, len(calls) + 1)]
    count = min(planned(short=FIRST_STARTS, long=len(orders)), len(orders))
    for number, order in enumerate(lab.chance.sample(orders, count)):
        lab.made(strike_first_start(lab, f"new{number}", order))
    assert lab.verdict() == []
