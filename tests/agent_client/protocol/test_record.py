"""The table of messages: only the current offer's own messages change a record."""

from __future__ import annotations

import pytest

from agent_client.protocol.record import (
    Record,
    Step,
    on_accepted,
    on_refused,
    on_result,
    on_started,
)

PHASES = ("queued", "offered", "starting", "running", "canceling", "ended")
HANDLERS = (on_accepted, on_refused, on_started, on_result)
WRITES = {Step.COMMIT, Step.WITHDRAW, Step.NOTE_RUNNING, Step.NOTE_START, Step.END, Step.NOTE_LATE}


def own(phase: str, **facts: bool) -> Record:
    return Record(phase, True, **facts)


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("phase", PHASES)
def test_nothing_is_written_when_the_offer_is_not_the_records_own(handler, phase):
    assert handler(Record(phase, False)) not in WRITES


@pytest.mark.parametrize("handler", HANDLERS)
def test_nothing_is_written_when_the_task_is_unknown(handler):
    assert handler(None) in (Step.NOTHING, Step.REVOKE)


@pytest.mark.parametrize("handler", HANDLERS)
def test_end_stays_when_a_message_comes_late(handler):
    assert handler(own("ended")) not in WRITES


@pytest.mark.parametrize(
    ("phase", "step"),
    [
        ("offered", Step.COMMIT),
        ("starting", Step.GO),
        ("running", Step.GO),
        ("canceling", Step.CANCEL),
        ("ended", Step.REVOKE),
    ],
)
def test_confirmed_offer_is_answered_by_phase(phase, step):
    assert on_accepted(own(phase)) is step


@pytest.mark.parametrize("phase", ["starting", "running", "canceling"])
def test_refusal_is_ignored_when_the_offer_was_committed(phase):
    assert on_refused(own(phase)) is Step.NOTHING


def test_task_returns_to_the_queue_when_its_offer_is_refused():
    assert on_refused(own("offered")) is Step.WITHDRAW


def test_start_is_noted_once_when_it_is_repeated():
    assert on_started(own("starting")) is Step.NOTE_RUNNING
    assert on_started(own("running", has_started=True)) is Step.NOTHING


def test_start_is_noted_when_the_cancel_was_faster():
    assert on_started(own("canceling")) is Step.NOTE_START
    assert on_started(own("canceling", has_started=True)) is Step.NOTHING


@pytest.mark.parametrize("phase", ["starting", "running", "canceling"])
def test_result_ends_a_task_when_it_is_under_way(phase):
    assert on_result(own(phase)) is Step.END


def test_result_is_kept_on_the_host_when_the_task_has_no_end():
    assert on_result(own("offered")) is Step.NOTHING


def test_result_is_kept_as_a_note_when_the_task_was_given_up():
    assert on_result(own("ended", is_given_up=True)) is Step.NOTE_LATE


def test_host_keeps_its_record_when_nobody_knows_the_task():
    assert on_result(None) is Step.NOTHING
    assert on_result(Record("running", False)) is Step.FORGET
