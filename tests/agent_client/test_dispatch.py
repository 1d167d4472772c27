"""Every message reaches the part that acts on it."""

from __future__ import annotations

import asyncio
from unittest.mock import Mock

import pytest

from agent_client import dispatch
from agent_client.dispatch import Dispatcher
from agent_client.protocol.messages import (
    Accepted,
    Ack,
    CancelOrder,
    CancelTasksBatch,
    Desired,
    Go,
    LogNext,
    Reconcile,
    Rejected,
    Revoked,
    TaskRef,
    TasksBatch,
    Welcome,
)
from agent_client.protocol.session import Session
from tests.agent_client.fake_server import spec

REF = TaskRef(task_id=1, offer=1)


class Parts:
    """A dispatcher among parts that only note what they are told."""

    def __init__(self) -> None:
        self.session = Session(prefix="m")
        self.runs, self.logs, self.heart = Mock(), Mock(), Mock()
        self.logs.refused.return_value = False
        self.heart.heard_at = 0.0
        self.flush, self.on_welcome = Mock(), Mock()
        self.dispatcher = Dispatcher(
            session=self.session,
            runs=self.runs,
            logs=self.logs,
            heart=self.heart,
            flush=self.flush,
            on_welcome=self.on_welcome,
        )

    def say(self, message) -> None:
        self.dispatcher.on_message(message)

    def send(self) -> str:
        """Put one message into the air and return its id."""
        self.session.queue(Accepted(message_id="m1", task_id=1, offer=1))
        self.session.take()
        return "m1"


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.mark.parametrize(
    ("message", "verb", "argument"),
    [
        (TasksBatch(message_id="", tasks=(spec(1),)), "offers", (spec(1),)),
        (Go(message_id="", tasks=(REF,)), "go", (REF,)),
        (Revoked(message_id="", tasks=(REF,)), "revoked", (REF,)),
        (
            CancelTasksBatch(message_id="", tasks=(CancelOrder(task_id=1, offer=1),)),
            "cancel",
            (CancelOrder(task_id=1, offer=1),),
        ),
        (
            Reconcile(message_id="", desired=(Desired(task_id=1, offer=1, want="run"),)),
            "reconcile",
            (Desired(task_id=1, offer=1, want="run"),),
        ),
    ],
)
def test_runs_act_when_a_message_is_about_tasks(parts, message, verb, argument):
    parts.say(message)
    getattr(parts.runs, verb).assert_called_once_with(argument)


def test_ack_sets_pace_and_offsets_when_it_has_them(parts):
    following = LogNext(task_id=1, offer=2, next=30)
    parts.say(Ack(message_id="", message_ids=("m",), log_next=(following,), heartbeat_interval=4.0))
    parts.heart.set_interval.assert_called_once_with(4.0)
    parts.heart.confirmed.assert_called_once_with(("m",))
    parts.logs.confirmed.assert_called_once_with(("m",))
    parts.logs.stored.assert_called_once_with((1, 2), 30)


def test_welcome_opens_everything_when_it_comes(parts):
    message = Welcome(
        message_id="", epoch=1, heartbeat_interval=3.0, installation="x", server_time=0.0
    )
    parts.say(message)
    parts.on_welcome.assert_called_once_with(message)
    parts.heart.connected.assert_called_once_with()
    parts.logs.connected.assert_called_once_with()


def test_parts_are_told_when_the_connection_is_lost(parts):
    parts.dispatcher.on_lost()
    parts.heart.disconnected.assert_called_once_with()
    parts.logs.disconnected.assert_called_once_with()


def test_refused_message_is_let_go_when_it_will_never_be_taken(parts):
    parts.say(Rejected(message_id=parts.send(), code="stale"))
    assert parts.session.unconfirmed == 0


async def test_refused_message_is_repeated_when_the_server_is_busy(parts, monkeypatch):
    monkeypatch.setattr(dispatch, "REPEAT_SECONDS", 0.0)
    parts.say(Rejected(message_id=parts.send(), code="slow_down"))
    assert parts.session.unconfirmed == 1
    await asyncio.sleep(0.01)
    assert (parts.session.unconfirmed, parts.session.waiting) == (0, 1)
    parts.flush.assert_called_once_with()


@pytest.mark.parametrize(("pauses", "waiting"), [((20, 14), 0), ((20, 15), 1)])
def test_message_goes_again_when_the_server_answers_others_for_long(parts, pauses, waiting):
    parts.send()
    for pause in pauses:
        parts.heart.heard_at += pause
        parts.say(Ack(message_id="", message_ids=("another",)))
    assert parts.session.waiting == waiting
    assert parts.flush.call_count == waiting


def test_refused_chunk_is_the_logs_own_matter_when_it_is_one(parts):
    parts.logs.refused.return_value = True
    parts.say(Rejected(message_id=parts.send(), code="stale"))
    assert parts.session.unconfirmed == 1


def test_connection_lives_on_when_a_handler_breaks(parts, caplog):
    parts.runs.go.side_effect = RuntimeError("defect")
    parts.say(Go(message_id="", tasks=(REF,)))
    assert "could not be handled" in caplog.text
