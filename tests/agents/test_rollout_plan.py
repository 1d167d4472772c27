"""The rules of a roll-out, without hosts or a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from agents.rollout_plan import HostFacts, Move, judge, stage_ends

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(hours=1)


def facts(**changes) -> HostFacts:
    """Return a host that is online with the version for an hour."""
    given = {
        "name": "box",
        "is_online": True,
        "online_since": LONG_AGO,
        "runs_it": True,
        "running_since": LONG_AGO,
        **changes,
    }
    return HostFacts(**given)


def verdict(*hosts: HostFacts, began_seconds_ago: float = 60.0):
    """Return the verdict of rules with 30 s of health and 100 s of patience."""
    return judge(
        hosts,
        now=NOW,
        began_at=NOW - timedelta(seconds=began_seconds_ago),
        soak_seconds=30,
        patience_seconds=100,
    )


@pytest.mark.parametrize(
    ("stages", "hosts", "ends"),
    [
        (["1", "10%", "100%"], 25, [1, 3, 25]),
        (["1", "10%", "100%"], 1, [1]),
        (["1", "10%", "100%"], 3, [1, 3]),
        (["50%"], 4, [2, 4]),
        (["5", "2"], 10, [5, 10]),
        (["100%"], 0, []),
    ],
)
def test_stages_end_with_all_hosts(stages, hosts, ends):
    assert stage_ends(stages, hosts) == ends


@pytest.mark.parametrize("stages", [[], ["0"], ["x"], ["101%"], ["-1"], ["1"] * 11])
def test_nonsense_is_no_stage(stages):
    with pytest.raises(ValueError, match="stage"):
        stage_ends(stages, 5)


def test_healthy_hosts_let_the_next_stage_begin():
    assert verdict(facts(), facts()).move is Move.ADVANCE


@pytest.mark.parametrize(
    "changes",
    [
        {"runs_it": False},
        {"is_online": False, "online_since": None},
        {"running_since": NOW - timedelta(seconds=29)},
        {"online_since": NOW - timedelta(seconds=29)},
    ],
)
def test_host_that_is_not_yet_healthy_is_waited_for(changes):
    assert verdict(facts(), facts(**changes)).move is Move.WAIT


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runs_it": False}, "box: It did not change"),
        ({"is_online": False, "online_since": None}, "box: It is offline"),
    ],
)
def test_patience_ends_with_a_reason(changes, words):
    found = verdict(facts(name="fine"), facts(**changes), began_seconds_ago=131)
    assert found.move is Move.HALT
    assert words in found.reason


def test_failure_halts_at_once_and_names_the_host():
    found = verdict(facts(), facts(name="bad", failure="It crashed."), began_seconds_ago=0)
    assert (found.move, found.reason) == (Move.HALT, "bad: It crashed.")
