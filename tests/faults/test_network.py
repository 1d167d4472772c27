"""The network between agent and server is cut, stalls one way, delays, limps, doubles messages.

Both transports suffer each spell. What was done must go on by itself soon after the spell.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import rows
from tests.faults.lab import Lab, heal_seconds, repeat, running_lab
from tests.faults.lines import Line, lines_of, spell
from tests.faults.trials import planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.NETWORK),
    pytest.mark.xdist_group("network faults"),
]

LONGEST_SECONDS = 1.5
WEATHER: dict[str, dict[str, object]] = {
    "cut": {"refuse": True},
    "nothing passes": {"stall_up": True, "stall_down": True},
    "agent to server stalls": {"stall_up": True},
    "server to agent stalls": {"stall_down": True},
    "one piece in five resets": {"reset_share": 0.2},
    "delay and jitter": {"delay_seconds": 0.1, "jitter_seconds": 0.3},
    "limping": {"bytes_per_second": 20_000},
    "cut in the middle": {"cut_after_bytes": 3_000},
    "messages arrive twice": {"duplicate_share": 1.0},
    "half of the messages arrive twice": {"duplicate_share": 0.5, "jitter_seconds": 0.05},
}
HOSTS = {
    "socket": {"is_framed": True},
    "polling": {"is_framed": True, "AGENT_CONNECTION_TRANSPORT": "polling"},
}


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """One installation for all weathers."""
    with running_lab(tmp_path_factory.mktemp("network"), agents=()) as found:
        yield found


@pytest.fixture(scope="module")
def lines(lab: Lab) -> Iterator[list[Line]]:
    """A host for each transport."""
    with lines_of(lab, HOSTS) as found:
        yield found


@pytest.mark.parametrize("name", WEATHER)
def test_tasks_survive_the_weather(lab: Lab, lines: list[Line], name: str) -> None:
    count = planned(short=1, long=12)
    found = repeat(
        lab,
        count,
        lambda: spell(lab, lines, longest=LONGEST_SECONDS, **WEATHER[name]),
        within=heal_seconds,
    )
    assert found == []


def test_what_was_not_confirmed_is_sent_again_and_counts_once(lab: Lab, lines: list[Line]) -> None:
    """The server gets and stores everything; no confirmation gets back."""

    def break_the_answers() -> int:
        made = spell(lab, lines, longest=1, stall_down=True)
        for line in lines:
            line.proxy.reset_all()
        return made

    assert repeat(lab, planned(short=1, long=20), break_the_answers, within=heal_seconds) == []


def test_what_was_sent_on_earlier_connections_changes_nothing(lab: Lab, lines: list[Line]) -> None:
    """Old messages, confirmed long ago, arrive again behind the greeting of a new connection."""

    def replay() -> int:
        for line in lines:
            line.proxy.reset_all()
        return spell(lab, lines, longest=1, replay=True)

    assert repeat(lab, planned(short=1, long=20), replay, within=heal_seconds) == []
