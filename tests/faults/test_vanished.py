"""A host stops (SIGSTOP) for longer than its tasks wait for it, and then goes on (R3).

They were given up and stay so, whatever the host says of them later; its processes end.
"""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.database import statuses
from tests.faults.lab import Lab, running_lab
from tests.faults.trials import planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.VANISHED),
    pytest.mark.xdist_group("network silence"),
]

HOST = "host1"
PATIENCE_SECONDS = 12
GIVEN_UP_SECONDS = 60
LINES, PAUSE_SECONDS = 400, 0.1
TASKS = 4
SETTINGS = {
    "DIALER_LOST_AFTER_SECONDS": str(PATIENCE_SECONDS),
    "DIALER_LOST_GRACE_SECONDS": "1",
}


def test_what_a_stopped_host_says_later_changes_nothing(tmp_path: Path) -> None:
    with running_lab(
        tmp_path, lines=LINES, pause=PAUSE_SECONDS, wide_each=TASKS, **SETTINGS
    ) as lab:
        for _ in range(planned(short=1, long=20)):
            ids = lab.submit(TASKS)
            lab.wait_started(ids)
            stop_until_given_up(lab, ids)
            lab.excuses.given_up.update(ids)
            # Its scripts went on without it: now they are ended, and reported in vain.
            wait_for(lambda: not lab.alive(), seconds=60, each=0.2)
            lab.made(TASKS)
        assert lab.verdict() == []


def stop_until_given_up(lab: Lab, ids: list[int]) -> None:
    """Stop the agent until the server has given its tasks up, not earlier than they allow."""
    agent = lab.stack.agents[HOST]
    agent.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        wait_for(
            lambda: set(statuses(lab.stack, ids).values()) == {"failed"}, seconds=GIVEN_UP_SECONDS
        )
        assert time.monotonic() - began > PATIENCE_SECONDS / 2
    finally:
        agent.send_signal(signal.SIGCONT)
    wait_for(lambda: lab.stack.online_agent(HOST), seconds=60, each=0.2)
