"""What an agent is told is the same over both transports."""

from __future__ import annotations

import pytest

from agent_client.protocol.messages import (
    Ack,
    CancelOrder,
    CancelTasksBatch,
    Desired,
    Go,
    Reconcile,
    Rejected,
    Revoked,
    TasksBatch,
    TaskSpec,
)
from agents.reply import Reply

SPEC = TaskSpec(
    task_id=4, offer=1, installation="x", name="t", script_type="shell", script_content="true"
)


@pytest.fixture
def reply() -> Reply:
    """Return a reply that says one thing of each kind."""
    reply = Reply()
    reply.ack("m1")
    reply.go(1, 1)
    reply.revoke(2, 1)
    reply.cancel(CancelOrder(task_id=3, offer=1))
    reply.offer(SPEC)
    reply.want(Desired(task_id=5, offer=1, want="forget"))
    reply.log_next(6, 1, 100)
    reply.error("m2", "stale", "No.")
    return reply


def test_socket_gets_a_message_of_each_kind_go_first(reply):
    kinds = [type(message) for message in reply.to_messages()]
    assert kinds == [Go, Ack, Revoked, CancelTasksBatch, TasksBatch, Reconcile, Rejected]


def test_polling_gets_the_same_in_one_answer(reply):
    answer = reply.to_answer(epoch=7, heartbeat_interval=2.0, installation="x")
    assert (answer.acks, answer.epoch) == (("m1",), 7)
    assert [ref.task_id for ref in (*answer.go, *answer.revoked)] == [1, 2]
    assert [one.task_id for one in (*answer.cancel_tasks, *answer.tasks)] == [3, 4]
    assert (answer.desired[0].want, answer.log_next[0].next) == ("forget", 100)
    assert answer.errors[0].code == "stale"


def test_ack_echoes_the_first_confirmed_message(reply):
    ack = next(message for message in reply.to_messages() if isinstance(message, Ack))
    assert (ack.message_id, ack.message_ids, ack.log_next[0].next) == ("m1", ("m1",), 100)


def test_nothing_to_say_is_no_message():
    assert Reply().to_messages() == []


def test_empty_message_id_is_not_acked():
    reply = Reply()
    reply.ack("")
    assert reply.acks == []


def test_absorbed_reply_loses_nothing(reply):
    total = Reply()
    total.absorb(reply)
    total.absorb(reply)
    assert len(total.to_messages()) == len(reply.to_messages()) + 1  # one more refusal
    assert len(total.acks) == 2


def test_new_epoch_wins_over_the_known_one(reply):
    reply.epoch = 9
    assert reply.to_answer(epoch=7, heartbeat_interval=2.0, installation="x").epoch == 9
