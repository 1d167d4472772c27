"""Cancel against finish, and cancel of process trees that resist."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from tests.faults.lab import Lab, running_lab
from tests.faults.trials import trials

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of cancel")]

RACE, TREE = "cancel against finish", "cancel of trees (setsid, double fork, TERM ignored)"
AGENTS = ("a", "b")
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


def test_cancel_at_any_moment_gives_one_end(tmp_path: Path) -> None:
    count = trials(RACE, short=40, long=1_600)
    with running_lab(tmp_path, agents=AGENTS, lines=3) as lab:
        for _ in range(count // 8):
            ids = lab.submit(8)
            lab.pause(0.4)
            lab.cancel(ids)
        assert lab.verdict() == []
        states = {lab.stack.task(task_id)["status"] for task_id in lab.accepted}
    assert states == {"completed", "canceled"}, "the moments must meet both sides of the race"


def test_canceled_trees_leave_nobody(tmp_path: Path) -> None:
    count = trials(TREE, short=16, long=400)
    with running_lab(tmp_path, agents=AGENTS) as lab:
        script = STUBBORN.format(tag=lab.tag, ledger=lab.ledger.path)
        for _ in range(count // 16):
            ids = lab.submit(16, script_content=script)
            lab.wait_started(ids)
            assert len(tagged(lab)) > len(ids), "the trees must be there before they are canceled"
            lab.cancel(ids)
            lab.settle()
            assert tagged(lab) == []
        assert {lab.stack.task(task_id)["status"] for task_id in lab.accepted} == {"canceled"}
        starts = lab.ledger.count("START")
        assert set(starts.values()) == {1}


def tagged(lab: Lab) -> list[int]:
    """Return the processes of trees by the name they gave themselves."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or [""]
        if command[0].startswith(lab.tag) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found
