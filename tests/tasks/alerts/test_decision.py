"""Which problems a rule tells."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tasks.alerts.decision import Known, Wanted, decide
from tasks.alerts.problems import Problem

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WANTED = Wanted(frozenset({"probe_down"}), "", {}, timedelta(0), timedelta(0), 14)
DOWN = Problem("probe_down", "probe:1", "Shop", "Shop is down", NOW - timedelta(seconds=30))
OPEN = Known("probe:1", NOW - timedelta(minutes=5), is_open=True)


def test_new_problem_fires() -> None:
    assert list(decide(WANTED, [DOWN], [], NOW).fire) == [DOWN]


def test_told_problem_does_not_fire_again() -> None:
    decision = decide(WANTED, [DOWN], [OPEN], NOW)
    assert not (decision.fire or decision.remind or decision.recover)


def test_ended_problem_recovers() -> None:
    assert list(decide(WANTED, [], [OPEN], NOW).recover) == ["probe:1"]


def test_momentary_problem_out_of_sight_does_not_recover() -> None:
    assert not decide(WANTED, [], [replace(OPEN, is_open=False)], NOW).recover


def test_problem_waits_until_it_has_lasted_long_enough() -> None:
    wanted = replace(WANTED, min_duration=timedelta(seconds=31))
    assert not decide(wanted, [DOWN], [], NOW).fire
    assert decide(wanted, [DOWN], [], NOW + timedelta(seconds=1)).fire


def test_momentary_problem_fires_whatever_the_duration() -> None:
    wanted = replace(WANTED, min_duration=timedelta(hours=1))
    assert decide(wanted, [replace(DOWN, is_momentary=True)], [], NOW).fire


def test_suppressed_problem_neither_fires_nor_recovers() -> None:
    silenced = replace(DOWN, is_suppressed=True)
    assert not decide(WANTED, [silenced], [], NOW).fire
    assert not decide(WANTED, [silenced], [OPEN], NOW).recover


def test_open_alert_is_reminded_of_after_the_pause() -> None:
    wanted = replace(WANTED, renotify=timedelta(minutes=5))
    assert list(decide(wanted, [DOWN], [OPEN], NOW).remind) == [DOWN]
    assert not decide(wanted, [DOWN], [OPEN], NOW - timedelta(seconds=1)).remind


def test_suppressed_problem_is_not_reminded_of() -> None:
    wanted = replace(WANTED, renotify=timedelta(minutes=5))
    assert not decide(wanted, [replace(DOWN, is_suppressed=True)], [OPEN], NOW).remind


@pytest.mark.parametrize(
    ("changes", "fires"),
    [
        ({"name_contains": "sho"}, True),
        ({"name_contains": "SHOP"}, True),
        ({"name_contains": "mail"}, False),
        ({"labels": {"team": "web"}}, True),
        ({"labels": {"team": "db"}}, False),
        ({"events": frozenset({"agent_lost"})}, False),
    ],
)
def test_filters_combine(changes: dict[str, object], fires: bool) -> None:
    labelled = replace(DOWN, labels={"team": "web", "site": "a"})
    assert bool(decide(replace(WANTED, **changes), [labelled], [], NOW).fire) is fires


@pytest.mark.parametrize(("days", "fires"), [(15.0, False), (14.0, True), (-1.0, True)])
def test_certificate_fires_within_the_days(days: float, fires: bool) -> None:
    wanted = replace(WANTED, events=frozenset({"certificate"}))
    expiring = replace(DOWN, event="certificate", days_left=days)
    assert bool(decide(wanted, [expiring], [], NOW).fire) is fires


def test_certificate_fires_whatever_the_duration() -> None:
    wanted = replace(WANTED, events=frozenset({"certificate"}), min_duration=timedelta(hours=1))
    expiring = replace(DOWN, event="certificate", days_left=3, since=NOW)
    assert decide(wanted, [expiring], [], NOW).fire
