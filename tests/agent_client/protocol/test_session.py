"""Messages are confirmed, repeated and bounded as a whole."""

from __future__ import annotations

import pytest

from agent_client.protocol import codec
from agent_client.protocol.messages import Accepted, Hello, Result, Started
from agent_client.protocol.session import Session


@pytest.fixture
def session() -> Session:
    return Session(prefix="p", max_messages=3, max_bytes=1000)


def accepted(session: Session, task_id: int) -> Accepted:
    return Accepted(message_id=session.next_id(), task_id=task_id, offer=1)


def queue(session: Session, *task_ids: int) -> list[Accepted]:
    messages = [accepted(session, task_id) for task_id in task_ids]
    for message in messages:
        session.queue(message)
    return messages


def test_ids_differ_when_taken_twice(session):
    assert session.next_id() != session.next_id()


def test_messages_go_in_order_when_taken(session):
    first, second = queue(session, 1, 2)
    assert session.take() == [first, second]
    assert (session.waiting, session.unconfirmed) == (0, 2)


def test_window_holds_back_when_messages_are_unconfirmed(session):
    messages = queue(session, 1, 2, 3, 4)
    assert session.take() == messages[:3]
    assert session.take() == []
    session.confirm([messages[0].message_id])
    assert session.take() == messages[3:]


def test_window_holds_back_when_bytes_are_many(session):
    for task_id in (1, 2):
        message = Result(
            message_id=session.next_id(),
            task_id=task_id,
            offer=1,
            reason="exit",
            finished_at=0.0,
            detail="x" * 600,
        )
        session.queue(message)
    assert len(session.take()) == 1


@pytest.mark.parametrize("give_back", ["confirm", "retry", "disconnected", "drop_task"])
def test_bytes_of_the_window_are_given_back_when_a_message_is_in_the_air_no_more(give_back):
    size = len(codec.encode(Accepted(message_id="m-1", task_id=1, offer=1)))
    session = Session(prefix="m", max_bytes=2 * size)
    messages = queue(session, 1, 2, 3, 4, 5)
    first, second = session.take()
    what = {"confirm": ([first.message_id],), "retry": (first.message_id,), "drop_task": (1, 1)}
    getattr(session, give_back)(*what.get(give_back, ()))
    expected = {"retry": [first], "disconnected": [first, second]}
    assert session.take() == expected.get(give_back, [messages[2]])


def test_single_message_goes_when_it_is_larger_than_the_window(session):
    big = Result(
        message_id="r", task_id=1, offer=1, reason="exit", finished_at=0.0, detail="x" * 5000
    )
    session.queue(big)
    assert session.take() == [big]


def test_unconfirmed_go_first_when_connection_was_lost(session):
    first, second = queue(session, 1, 2)
    session.take()
    (third,) = queue(session, 3)
    session.disconnected()
    assert session.take() == [first, second, third]
    assert session.repeated == 2


def test_confirmed_is_not_repeated_when_connection_was_lost(session):
    first, second = queue(session, 1, 2)
    session.take()
    assert session.confirm([first.message_id, "unknown"]) == [first]
    session.disconnected()
    assert session.take() == [second]


def test_same_fact_is_queued_once_when_said_twice(session):
    queue(session, 1)
    queue(session, 1)
    assert len(session.take()) == 1


def test_same_fact_is_queued_again_when_the_first_was_confirmed(session):
    (first,) = queue(session, 1)
    session.take()
    session.confirm([first.message_id])
    assert queue(session, 1) == session.take()


def test_messages_of_a_task_are_gone_when_it_is_dropped(session):
    queue(session, 1, 2)
    session.take()
    session.queue(Started(message_id="s", task_id=1, offer=1, pid=1, started_at=0.0))
    session.drop_task(1, 1)
    session.disconnected()
    assert [message.task_id for message in session.take()] == [2]


def test_message_goes_first_again_when_it_is_to_be_repeated(session):
    first, second = queue(session, 1, 2)
    session.take()
    session.retry(first.message_id)
    session.retry("unknown")
    assert session.take() == [first]
    assert session.unconfirmed == 2
    assert second.message_id in session._in_air


def test_messages_go_again_in_order_when_unheard_from_one_look_to_the_next(session):
    early = queue(session, 1, 2)
    session.take()
    assert not session.repeat_unheard()
    (late,) = queue(session, 3)
    session.take()
    assert session.repeat_unheard()
    assert session.take() == early
    assert (session.unconfirmed, session.waiting) == (3, 0)
    assert late.message_id in session._in_air


def test_confirmed_message_is_not_repeated_as_unheard(session):
    (message,) = queue(session, 1)
    session.take()
    session.repeat_unheard()
    session.confirm([message.message_id])
    assert not session.repeat_unheard()


def test_message_of_a_new_connection_is_not_unheard_yet(session):
    queue(session, 1)
    session.take()
    session.repeat_unheard()
    session.disconnected()
    session.take()
    assert not session.repeat_unheard()


def test_hello_is_no_task_message_when_a_task_is_dropped(session):
    from agent_client.protocol.messages import Capacity

    capacity = Capacity(cpu_cores=1, memory_bytes=1, slots=1)
    hello = Hello(
        message_id="h", agent_id="a", instance_id="i", boot_id="b", version="1", capacity=capacity
    )
    session.queue(hello)
    session.drop_task(1, 1)
    assert session.take() == [hello]
