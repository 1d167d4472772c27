"""The writer commits groups, tells agents afterwards, and survives poison and outages."""

from __future__ import annotations

import threading

import pytest
from django.db import OperationalError

from agents import inbox_writer
from agents.inbox_batch import Submission
from agents.inbox_registry import Registry
from agents.inbox_writer import MAX_TRIES, Writer
from agents.principal import AgentPrincipal
from agents.reply import Reply
from tests.agents import wire

ALPHA = AgentPrincipal("a-1", "default")
WAIT_SECONDS = 10


class Store:
    """Stands in for the database: records batches, blocks or fails as told."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.poison: set[str] = set()
        self.error: Exception = RuntimeError("poison")

    def __call__(self, registry, batch) -> None:
        self.entered.set()
        assert self.open.wait(WAIT_SECONDS)
        ids = [message.message_id for one in batch for message in one.messages]
        self.batches.append(ids)
        for one in batch:
            one.reply = Reply()
        if self.poison & set(ids):
            raise self.error
        for one in batch:
            for message in one.messages:
                one.reply.ack(message.message_id)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def writer(store, monkeypatch):
    monkeypatch.setattr(inbox_writer, "database_answers", lambda: True)
    monkeypatch.setattr(inbox_writer, "DATABASE_PAUSE_SECONDS", 0)
    writer = Writer(Registry(), run=store)
    yield writer
    store.open.set()
    writer.stop()


def put(writer: Writer, *messages) -> tuple[threading.Event, list[Reply]]:
    """Queue messages; returns an event set with the answer, and the answer."""
    done, replies = threading.Event(), []

    def on_done(reply: Reply) -> None:
        replies.append(reply)
        done.set()

    assert writer.put(Submission(ALPHA, messages, on_done=on_done))
    return done, replies


def test_everything_that_arrives_during_a_commit_goes_into_the_next(writer, store):
    store.open.clear()
    first, _ = put(writer, wire.accepted())
    assert store.entered.wait(WAIT_SECONDS)
    others = [put(writer, wire.accepted(n))[0] for n in range(50)]
    store.open.set()
    assert first.wait(WAIT_SECONDS)
    assert all(done.wait(WAIT_SECONDS) for done in others)
    assert [len(batch) for batch in store.batches] == [1, 50]


def test_agent_is_told_only_after_the_commit(writer, store):
    store.open.clear()
    done, _ = put(writer, wire.accepted())
    assert store.entered.wait(WAIT_SECONDS)
    assert not done.is_set()
    store.open.set()
    assert done.wait(WAIT_SECONDS)


def test_poisoned_message_is_set_aside_and_the_others_are_stored(writer, store):
    good, bad, later = wire.accepted(1), wire.accepted(2), wire.accepted(3)
    store.poison = {bad.message_id}
    done, replies = put(writer, good, bad, later)
    assert done.wait(WAIT_SECONDS)
    assert replies[0].acks == [good.message_id, bad.message_id, later.message_id]
    assert [(e.message_id, e.code) for e in replies[0].errors] == [(bad.message_id, "set_aside")]
    assert store.batches.count([bad.message_id]) == MAX_TRIES
    assert writer.counts["set_aside"] == 1


def test_message_behind_poison_is_stored(writer, store):
    bad, behind = wire.accepted(1), wire.accepted(2)
    store.poison = {bad.message_id}
    put(writer, bad)
    done, replies = put(writer, behind)
    assert done.wait(WAIT_SECONDS)
    assert replies[0].acks == [behind.message_id]


def test_message_is_left_unconfirmed_when_only_the_database_fails(writer, store):
    message = wire.accepted()
    store.poison, store.error = {message.message_id}, OperationalError("disk is full")
    done, replies = put(writer, message)
    assert done.wait(WAIT_SECONDS)
    assert replies[0].acks == []
    assert [one.code for one in replies[0].errors] == ["unavailable"]


def test_outage_longer_than_five_tries_costs_nothing(writer, store, monkeypatch):
    message, probes = wire.accepted(), []
    store.poison, store.error = {message.message_id}, OperationalError("connection refused")

    def database_answers() -> bool:
        probes.append(1)
        if len(probes) == MAX_TRIES * 3:
            store.poison = set()
        return False

    monkeypatch.setattr(inbox_writer, "database_answers", database_answers)
    done, replies = put(writer, message)
    assert done.wait(WAIT_SECONDS)
    assert replies[0].acks == [message.message_id]


def test_full_queue_refuses_and_counts(store):
    store.open.clear()
    writer = Writer(Registry(), run=store, max_waiting=1)
    put(writer, wire.accepted())
    assert store.entered.wait(WAIT_SECONDS)
    put(writer, wire.accepted())
    assert not writer.put(Submission(ALPHA, (wire.accepted(),)))
    assert writer.counts["refused"] == 1
    store.open.set()
    writer.stop()


def test_stop_stores_what_waits(writer, store):
    store.open.clear()
    put(writer, wire.accepted())
    assert store.entered.wait(WAIT_SECONDS)
    done, _ = put(writer, wire.accepted())
    store.open.set()
    writer.stop()
    assert done.is_set()


def test_transport_that_is_gone_does_not_stop_the_writer(writer, store):
    def broken(reply: Reply) -> None:
        raise RuntimeError("loop is closed")

    writer.put(Submission(ALPHA, (wire.accepted(),), on_done=broken))
    done, _ = put(writer, wire.accepted())
    assert done.wait(WAIT_SECONDS)
