"""Agents, sub-agents and the server are killed at random moments while tasks run.

Every accepted task ends as the ledger says, starts at most once, has exactly one end and
every byte of its log; nothing is left running and nobody lends a hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults import rows
from tests.faults.kills import AGENT_FAULTS, kill_server
from tests.faults.lab import repeat, running_lab
from tests.faults.trials import planned

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

AGENTS = ("a", "b", "c", "d")


@pytest.mark.row(rows.KILLS)
@pytest.mark.parametrize("name", AGENT_FAULTS)
def test_killed_on_the_host(tmp_path: Path, name: str) -> None:
    count = planned(short=8, long=160)
    with running_lab(tmp_path, agents=AGENTS) as lab:
        rounds = -(-count // len(AGENTS))
        assert repeat(lab, rounds, lambda: AGENT_FAULTS[name](lab), busy=40) == []


@pytest.mark.row(rows.SERVICES)
def test_killed_server(tmp_path: Path) -> None:
    count = planned(short=4, long=100)
    with running_lab(tmp_path) as lab:
        assert repeat(lab, count, lambda: kill_server(lab)) == []
