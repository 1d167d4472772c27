"""The door: which beats cost a transaction, and what a full queue does."""

from __future__ import annotations

import pytest

from agent_client.protocol.digest import holds_digest
from agent_client.protocol.messages import Hold
from agents import inbox
from agents.principal import AgentPrincipal
from tests.agents import wire

SPEAKER = AgentPrincipal("a-1", "default")
HOLDS = (Hold(task_id=1, offer=1, state="running"),)


@pytest.fixture
def queued(registry, monkeypatch) -> list:
    """Return the list that submissions go to instead of the writer."""
    submissions: list = []
    monkeypatch.setattr(inbox.writer, "put", lambda one: submissions.append(one) or True)
    return submissions


def submit(*messages) -> bool:
    """Submit messages of one host."""
    return inbox.submit(SPEAKER, messages, lambda reply: None)


def test_first_beat_is_reconciled_and_the_next_is_not(queued):
    assert [submit(wire.beat("a-1")) for _ in range(3)] == [True, False, False]


def test_beat_with_holds_is_reconciled(queued):
    submit(wire.beat("a-1"))
    assert submit(wire.beat("a-1", holds=HOLDS))
    assert queued[-1].holds == HOLDS


def test_marked_agent_is_reconciled_once_with_what_it_held(queued):
    submit(wire.beat("a-1", holds=HOLDS))
    inbox.mark_dirty("a-1")
    same = wire.beat("a-1", holds_digest=holds_digest(HOLDS))
    assert [submit(same), submit(same)] == [True, False]
    assert queued[-1].holds == HOLDS


def test_beat_is_reconciled_every_thirty_seconds(queued, monkeypatch):
    submit(wire.beat("a-1"))
    later = inbox.hot.time.monotonic() + inbox.RECONCILE_SECONDS
    monkeypatch.setattr(inbox.hot.time, "monotonic", lambda: later)
    assert submit(wire.beat("a-1"))


def test_messages_in_a_beat_go_before_it(queued):
    accepted = wire.accepted()
    beat = wire.beat("a-1", messages=(accepted,))
    submit(beat)
    assert (queued[0].messages, queued[0].beat) == ((accepted,), beat)


def test_hello_in_a_beat_keeps_the_beat_reconciled(queued):
    submit(wire.beat("a-1"))
    hello = wire.hello("a-1", holds=HOLDS)
    submit(wire.beat("a-1", messages=(hello,), holds_digest=holds_digest(HOLDS)))
    assert (queued[-1].reconcile, queued[-1].holds) == (True, HOLDS)


def test_full_queue_raises_and_remembers_the_reconciliation(registry, monkeypatch):
    monkeypatch.setattr(inbox.writer, "put", lambda one: False)
    with pytest.raises(inbox.SlowDown):
        submit(wire.beat("a-1"))
    assert "a-1" in inbox._dirty


def test_chunk_for_a_full_lane_raises(registry, monkeypatch):
    monkeypatch.setattr(inbox.lanes, "put", lambda *args: False)
    with pytest.raises(inbox.SlowDown):
        inbox.chunk(SPEAKER, object(), lambda reply: None)
