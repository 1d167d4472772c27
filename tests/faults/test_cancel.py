"""Cancel against finish, and cancel of process trees that resist."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.kills import kill_agents, kill_server
from tests.faults.lab import Lab, running_lab
from tests.faults.trials import note_trials, planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.CANCEL),
    pytest.mark.xdist_group("faults of cancel"),
]

AGENTS = ("a", "b")
EACH, TREES = 8, 16
STUBBORN = """
trap '' TERM
tag={tag}-$DIALER_TASK_ID
setsid bash -c "trap '' TERM; exec -a $tag-1 sleep 600" &
(bash -c "exec -a $tag-2 sleep 600" & bash -c "exec -a $tag-3 sleep 600" &)
env -i setsid bash -c "trap '' TERM; (exec -a $tag-4 sleep 600 &) ; exec -a $tag-5 sleep 600" &
nohup bash -c "exec -a $tag-6 sleep 600" > /dev/null 2>&1 &
echo "START $DIALER_TASK_ID $$" >> {ledger}
while :; do sleep 1; done
"""

ENDLESS_LINES = 10_000
"""Five minutes: none ends by itself before it is canceled, however slow the machine."""


def test_cancel_at_any_moment_gives_one_end(tmp_path: Path) -> None:
    count = planned(short=40, long=1_600)
    with running_lab(tmp_path, agents=AGENTS, lines=3) as lab:
        for _ in range(-(-count // EACH)):
            ids = lab.submit(EACH)
            lab.pause(0.4)
            lab.cancel(ids)
            lab.made(len(ids))
        assert lab.verdict() == []
        states = {lab.stack.task(task_id)["status"] for task_id in lab.accepted}
    assert states == {"completed", "canceled"}, "the moments must meet both sides of the race"


def test_cancel_survives_agent_and_server(tmp_path: Path) -> None:
    """What was asked for is done, whoever dies between the wish and its end."""
    count = planned(short=8, long=80)
    with running_lab(tmp_path, agents=AGENTS, lines=ENDLESS_LINES) as lab:
        for number in range(-(-count // EACH)):
            ids = lab.submit(EACH)
            lab.wait_started(ids)
            lab.cancel(ids)
            if number % 2:
                kill_server(lab)
            else:
                kill_agents(lab)
            lab.made(len(ids))
        assert lab.verdict() == []
        assert {lab.stack.task(one)["status"] for one in lab.accepted} == {"canceled"}


def test_canceled_trees_leave_nobody(tmp_path: Path) -> None:
    count = planned(short=16, long=320)
    with running_lab(tmp_path, agents=AGENTS) as lab:
        script = STUBBORN.format(tag=lab.tag, ledger=lab.ledger.path)
        for _ in range(-(-count // TREES)):
            ids = lab.submit(TREES, script_content=script)
            lab.wait_started(ids)
            wait_for(lambda: len(tagged(lab)) > TREES, seconds=60)
            lab.cancel(ids)
            lab.settle()
            assert tagged(lab) == []
            lab.made(len(ids))
        ended = {lab.stack.task(task_id)["status"] for task_id in lab.accepted}
        assert ended == {"canceled"}
        assert set(lab.ledger.count("START").values()) == {1}
        note_trials(lab.trials)


def tagged(lab: Lab) -> list[int]:
    """Return the processes of trees by the name they gave themselves."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or [""]
        if command[0].startswith(lab.tag) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found
