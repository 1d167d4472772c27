"""A batch is one transaction, and keeps the order of each agent's messages."""

from __future__ import annotations

import pytest
from django.db import connection

from agent_client.protocol.messages import Accepted, Result, Started
from agents.inbox_batch import Submission, run_batch, waves
from agents.inbox_registry import Registry
from agents.models import Agent
from agents.principal import AgentPrincipal
from tests.agents import wire

ALPHA = AgentPrincipal("a-1", "default")
BETA = AgentPrincipal("a-2", "default")


def order_of(batch: list[Submission]) -> list[str]:
    """Return the message ids in the order in which handlers get them."""
    return [
        one.message.message_id
        for wave in waves(batch)
        for rank in sorted(wave)
        for one in wave[rank]
    ]


def test_one_wave_holds_the_life_of_a_task_when_it_comes_in_order():
    messages = (wire.accepted(), wire.started(), wire.result())
    assert len(waves([Submission(ALPHA, messages)])) == 1
    assert order_of([Submission(ALPHA, messages)]) == [m.message_id for m in messages]


def test_order_of_an_agent_is_kept_when_ranks_fall():
    messages = (wire.result(1), wire.accepted(2), wire.started(2), wire.accepted(3))
    assert order_of([Submission(ALPHA, messages)]) == [m.message_id for m in messages]


def test_order_of_an_agent_is_kept_across_its_submissions():
    first, second = wire.result(1), wire.accepted(2)
    batch = [Submission(ALPHA, (first,)), Submission(ALPHA, (second,))]
    assert order_of(batch) == [first.message_id, second.message_id]


@pytest.mark.django_db
def test_handler_gets_messages_of_all_agents_in_one_call():
    registry, calls = Registry(), []
    registry.register(Accepted, lambda batch: calls.append([one.principal for one in batch]))
    run_batch(
        registry,
        [Submission(ALPHA, (wire.accepted(),)), Submission(BETA, (wire.accepted(),))],
    )
    assert calls == [[ALPHA, BETA]]


@pytest.mark.django_db
def test_message_is_acked_unless_the_handler_refuses_it():
    registry, good, bad = Registry(), wire.accepted(1), wire.accepted(2)

    def handler(batch):
        batch[1].reply.error(bad.message_id, "stale", "No.")

    registry.register(Accepted, handler)
    submission = Submission(ALPHA, (good, bad))
    run_batch(registry, [submission])
    assert submission.reply.acks == [good.message_id]
    assert [one.code for one in submission.reply.errors] == ["stale"]


@pytest.mark.django_db
def test_message_without_handler_is_refused():
    submission = Submission(ALPHA, (wire.started(),))
    run_batch(Registry(), [submission])
    assert [one.code for one in submission.reply.errors] == ["unknown_type"]


@pytest.mark.django_db(transaction=True)
def test_nothing_is_stored_when_one_handler_of_the_batch_raises(agent):
    registry = Registry()
    registry.register(Accepted, lambda batch: Agent.objects.update(name="changed"))

    def explode(batch):
        raise RuntimeError

    registry.register(Result, explode)
    with pytest.raises(RuntimeError):
        run_batch(registry, [Submission(ALPHA, (wire.accepted(), wire.result()))])
    agent.refresh_from_db()
    assert agent.name == "worker"


@pytest.mark.django_db
def test_repeated_attempt_leaves_no_trace_of_the_failed_one():
    registry, submission, tries = Registry(), Submission(ALPHA, (wire.accepted(),)), []

    def flaky(batch):
        batch[0].reply.go(1, 1)
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError

    registry.register(Accepted, flaky)
    with pytest.raises(RuntimeError):
        run_batch(registry, [submission])
    run_batch(registry, [submission])
    assert len(submission.reply.started) == 1


@pytest.mark.django_db
def test_beats_are_reconciled_after_the_messages_they_brought():
    registry, seen = Registry(), []
    registry.register(Started, lambda batch: seen.append("started"))
    registry.register_beat(lambda beats: seen.append(("beat", beats[0].holds)))
    beat = wire.beat("a-1")
    run_batch(registry, [Submission(ALPHA, (wire.started(),), beat, (), reconcile=True)])
    assert seen == ["started", ("beat", ())]


@pytest.mark.django_db
def test_batch_runs_inside_a_transaction():
    registry, inside = Registry(), []
    registry.register(Accepted, lambda batch: inside.append(connection.in_atomic_block))
    run_batch(registry, [Submission(ALPHA, (wire.accepted(),))])
    assert inside == [True]


def test_second_handler_of_a_type_is_refused():
    registry = Registry()
    registry.register(Accepted, lambda batch: None)
    with pytest.raises(ValueError, match="handler already"):
        registry.register(Accepted, lambda batch: None)
