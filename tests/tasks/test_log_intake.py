"""Log bytes from hosts: who may write, and what follows."""

from __future__ import annotations

import pytest

from agent_client.protocol import frames
from agent_client.protocol.messages import LogChunk, Reconcile
from agents.endpoints import LogPut
from agents.inbox import LogGap
from dialer_platform.errors import Conflict, Invalid, NotFound, TooLarge
from tasks.logs import tails
from tasks.logs.files import reader
from tasks.logs.tails import Awaited
from tasks.services.cancel import cancel_task
from tasks.services.log_intake import _store_raw, take_chunk
from tests.tasks.conftest import new_id

pytestmark = pytest.mark.django_db


def chunk(task, data: bytes = b"hello", *, offset: int = 0, offer: int | None = None) -> LogChunk:
    return LogChunk(
        message_id=new_id(),
        task_id=task.pk,
        offer=task.offer if offer is None else offer,
        offset=offset,
        frames=frames.encode(1, 1_000, data),
    )


def put(task, data: bytes = b"hello", *, offset: int = 0, stream: str = "stderr") -> LogPut:
    return LogPut(task.pk, stream, offset, data)


def test_chunk_is_stored_and_answered_with_the_next_offset(host, submit):
    task = host.run(submit())
    assert take_chunk(host.principal, chunk(task)) == 5
    assert reader(task.pk).read(0, 9).data == b"hello"


def test_gap_is_answered_with_the_expected_offset(host, submit):
    task = host.run(submit())
    take_chunk(host.principal, chunk(task))
    with pytest.raises(LogGap) as gap:
        take_chunk(host.principal, chunk(task, offset=9))
    assert gap.value.expected == 5


def test_malformed_chunk_is_refused(host, submit):
    task = host.run(submit())
    broken = LogChunk(message_id="m", task_id=task.pk, offer=1, offset=0, frames=b"\x01cut")
    with pytest.raises(Invalid):
        take_chunk(host.principal, broken)


def test_chunk_of_another_host_is_not_found(host, new_host, submit):
    task = host.run(submit())
    take_chunk(host.principal, chunk(task))
    with pytest.raises(NotFound):
        take_chunk(new_host("other").principal, chunk(task))


def test_chunk_of_an_older_offer_is_refused(host, submit):
    task = host.run(submit())
    with pytest.raises(Conflict) as error:
        take_chunk(host.principal, chunk(task, offer=0))
    assert error.value.code == "stale_offer"


def test_chunk_before_the_start_is_refused_and_accepted_afterwards(host, submit):
    task = submit()
    with pytest.raises(Conflict):
        take_chunk(host.principal, chunk(task))
    host.run(task)
    assert take_chunk(host.principal, chunk(task)) == 5


def test_chunk_of_an_unknown_task_is_not_found(host, submit):
    task = submit()
    task.pk = 424_242
    with pytest.raises(NotFound):
        take_chunk(host.principal, chunk(task))


def test_chunk_of_a_task_that_waits_is_not_found(host, submit):
    task = submit(cpu_cores=99)
    with pytest.raises(NotFound):
        take_chunk(host.principal, chunk(task))


def test_log_over_the_limit_is_refused(host, submit, settings):
    settings.LOG_LIMIT_BYTES = 0
    task = host.run(submit())
    with pytest.raises(TooLarge):
        take_chunk(host.principal, chunk(task, offset=2 * 1024 * 1024))


def test_writer_is_asked_once_for_many_chunks(host, submit, django_assert_num_queries):
    task = host.run(submit())
    with django_assert_num_queries(1):
        for number in range(5):
            take_chunk(host.principal, chunk(task, offset=5 * number))


def test_viewers_are_told(host, submit, monkeypatch):
    told = []
    monkeypatch.setattr("tasks.events.live.publish", lambda topic, **facts: told.append(topic))
    task = host.run(submit())
    take_chunk(host.principal, chunk(task))
    assert told == [f"log.{task.pk}"]


def test_bytes_that_arrive_after_the_result_let_the_host_forget(
    host, submit, delivered, django_capture_on_commit_callbacks
):
    task = host.run(submit())
    with django_capture_on_commit_callbacks(execute=True):
        reply = host.finish(task, log_bytes=5)
    assert reply.desired == []
    take_chunk(host.principal, chunk(task))
    ((agent_id, message),) = delivered
    assert (agent_id, type(message)) == (host.agent.pk, Reconcile)
    assert [(one.task_id, one.want) for one in message.desired] == [(task.pk, "forget")]


def test_host_is_not_told_to_forget_before_the_end_is_committed(host, submit, delivered):
    task = host.run(submit())
    host.finish(task, log_bytes=5)  # its commit never comes: the callbacks do not run
    take_chunk(host.principal, chunk(task))
    assert delivered == []


def test_bytes_that_arrive_between_the_look_and_the_commit_are_noticed(
    host, submit, delivered, django_capture_on_commit_callbacks
):
    task = host.run(submit())
    with django_capture_on_commit_callbacks(execute=True):
        host.finish(task, log_bytes=5)
        take_chunk(host.principal, chunk(task))
    assert [type(message) for _agent, message in delivered] == [Reconcile]


def test_awaited_tails_are_bounded(monkeypatch):
    monkeypatch.setattr(tails, "MAX_AWAITED", 2)
    for number in range(1, 5):
        tails.expect(Awaited(number, 1, "a", 5))
    assert tails.completed(1, 5) is None
    assert tails.completed(4, 5) == Awaited(4, 1, "a", 5)
    assert tails.completed(4, 5) is None


def test_tail_is_not_complete_before_its_last_byte():
    tails.expect(Awaited(77, 1, "a", 5))
    assert tails.completed(77, 4) is None
    assert tails.completed(77, 5) is not None


# --- the raw endpoint ---------------------------------------------------------


def test_raw_bytes_are_stored_by_stream(host, submit):
    task = host.run(submit())
    assert _store_raw(host.principal, put(task)) == 5
    assert _store_raw(host.principal, put(task, stream="stdout")) == 5
    assert _store_raw(host.principal, put(task, b"!", offset=5)) == 6
    assert reader(task.pk).read(0, 99).data == b"hellohello!"


def test_raw_gap_is_a_conflict_with_the_expected_offset(host, submit):
    task = host.run(submit())
    with pytest.raises(Conflict) as error:
        _store_raw(host.principal, put(task, offset=3))
    assert (error.value.code, error.value.fields) == ("log_gap", {"offset": ["0"]})


def test_raw_bytes_of_another_host_are_not_found(host, new_host, submit):
    task = host.run(submit())
    with pytest.raises(NotFound):
        _store_raw(new_host("other").principal, put(task))


def test_raw_bytes_for_a_task_canceled_before_its_start_are_refused(host, submit, principal):
    task = submit(cpu_cores=99)
    cancel_task(task, by=principal)
    with pytest.raises(NotFound):
        _store_raw(host.principal, put(task))
