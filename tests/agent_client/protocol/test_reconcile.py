"""The tables of agreement are total, and nothing starts that should not."""

from __future__ import annotations

from typing import get_args

import pytest

from agent_client.protocol.messages import HoldState
from agent_client.protocol.reconcile import (
    Action,
    Local,
    Order,
    action_for,
    is_canceled_by_loss,
    judge_absence,
    judge_hold,
)
from agent_client.protocol.record import Phase, Record, Step

HELD = get_args(HoldState)
PHASES = get_args(Phase)


def own(phase: str, **facts: bool) -> Record:
    return Record(phase, True, **facts)


@pytest.mark.parametrize("state", HELD)
def test_orphan_is_left_alone(state):
    assert judge_hold(None, state).step is Step.NOTHING


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("state", HELD)
def test_void_offer_is_let_go_whatever_the_record_says(phase, state):
    steps = {"accepted": Step.REVOKE, "finished": Step.FORGET}
    assert judge_hold(Record(phase, False), state) == (steps.get(state, Step.CANCEL), "agent_lost")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("state", HELD)
def test_host_never_forgets_an_own_task_when_it_has_no_end(phase, state):
    if phase != "ended":
        assert judge_hold(own(phase), state).step not in (Step.FORGET, Step.RELEASE, Step.REVOKE)


@pytest.mark.parametrize(
    ("phase", "state", "step"),
    [
        ("offered", "accepted", Step.COMMIT),
        ("starting", "accepted", Step.RUN),
        ("running", "running", Step.COMPARE_LOG),
        ("running", "finished", Step.COMPARE_LOG),
        ("canceling", "running", Step.CANCEL),
        ("canceling", "accepted", Step.CANCEL),
        ("canceling", "finished", Step.NOTHING),
        ("ended", "finished", Step.RELEASE),
        ("ended", "running", Step.CANCEL),
        ("ended", "accepted", Step.REVOKE),
    ],
)
def test_held_task_is_judged_by_its_record(phase, state, step):
    assert judge_hold(own(phase), state).step is step


def test_stop_says_why_when_the_task_has_ended():
    assert judge_hold(own("ended"), "running").reason == "user_cancel"
    assert judge_hold(own("ended", is_given_up=True), "running").reason == "agent_lost"


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        ("queued", Step.NOTHING),
        ("offered", Step.OFFER),
        ("starting", Step.RUN),
        ("running", Step.MISS),
        ("canceling", Step.MISS),
        ("ended", Step.NOTHING),
    ],
)
def test_absent_task_is_judged_by_its_record(phase, step):
    assert judge_absence(own(phase), is_full_list=True, is_unheard=True) is step


@pytest.mark.parametrize("phase", PHASES)
def test_nothing_is_missed_when_the_list_is_not_the_hosts_own(phase):
    assert judge_absence(own(phase), is_full_list=False, is_unheard=False) is Step.NOTHING


def test_loss_is_the_wished_end_only_when_the_task_never_started():
    assert is_canceled_by_loss(own("canceling"))
    assert not is_canceled_by_loss(own("canceling", has_started=True))
    assert not is_canceled_by_loss(own("running"))


@pytest.mark.parametrize("order", get_args(Order))
@pytest.mark.parametrize("local", get_args(Local))
def test_only_an_accepted_offer_starts(order, local):
    starts = action_for(order, local) is Action.START
    assert starts == (local == "accepted" and order in ("go", "run"))


@pytest.mark.parametrize("order", get_args(Order))
def test_offer_that_was_let_go_is_never_taken_again(order):
    assert action_for(order, "gone") is Action.NOTHING


@pytest.mark.parametrize("local", ["claimed", "running"])
def test_running_task_is_not_deleted_when_server_forgets(local):
    assert action_for("forget", local) is Action.NOTHING


@pytest.mark.parametrize("local", ["accepted", "withdrawn"])
def test_unstarted_task_ends_when_it_is_canceled(local):
    assert action_for("cancel", local) is Action.END_UNSTARTED


def test_loss_is_reported_only_when_run_is_wanted_of_an_unknown_task():
    found = [
        (order, local)
        for order in get_args(Order)
        for local in get_args(Local)
        if action_for(order, local) is Action.REPORT_LOST
    ]
    assert found == [("run", "unknown")]
