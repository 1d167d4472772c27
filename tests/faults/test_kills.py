"""Agents, sub-agents and the server are killed at random moments while tasks run.

Every accepted task ends as the ledger says, starts at most once, has exactly one end and
every byte of its log; nothing is left running and nobody lends a hand.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import rows
from tests.faults.kills import AGENT_FAULTS, kill_server
from tests.faults.lab import Lab, repeat, running_lab
from tests.faults.trials import planned

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults")]

AGENTS = ("a", "b", "c", "d")
BUSY = 24


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One installation for all kills."""
    with running_lab(tmp_path_factory.mktemp("kills"), agents=AGENTS) as found:
        yield found


@pytest.mark.row(rows.KILLS)
@pytest.mark.parametrize("name", AGENT_FAULTS)
def test_killed_on_the_host(lab: Lab, name: str) -> None:
    rounds = -(-planned(short=8, long=160) // len(AGENTS))
    assert repeat(lab, rounds, lambda: AGENT_FAULTS[name](lab), busy=BUSY) == []


@pytest.mark.row(rows.SERVICES)
def test_killed_server(lab: Lab) -> None:
    assert repeat(lab, planned(short=4, long=60), lambda: kill_server(lab)) == []
