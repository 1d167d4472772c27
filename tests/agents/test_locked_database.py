"""A database that does not answer for a while: beats go on, nothing acknowledged is lost (R32)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager

import msgspec
import psycopg
import pytest
from django.db import connection
from django.db.models import F

from agent_client.protocol.messages import Accepted, Ack
from agents.models import Agent
from tests.agents import wire
from tests.agents.asgi_client import call
from tests.agents.test_consumer import Host, greeting, host

__all__ = ["greeting", "host"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)

BEATS = 30


@contextmanager
def locked_database() -> Iterator[None]:
    """Hold the lock of another program that everything else waits for."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(settings["NAME"], isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")
        return
    names = {"host": "HOST", "port": "PORT", "user": "USER", "password": "PASSWORD"}
    words = {name: settings[key] for name, key in names.items() if settings[key]}
    with psycopg.connect(dbname=settings["NAME"], **words) as other:
        other.execute("LOCK TABLE agents_agent IN ACCESS EXCLUSIVE MODE")
        yield
        other.rollback()


def count_accepted(batch) -> None:
    """Write something for each message: its effect must come once."""
    for one in batch:
        Agent.objects.filter(id=one.principal.agent_id).update(cpu_usage=F("cpu_usage") + 1)


async def heard_until(host: Host, wanted: set[str]) -> set[str]:
    """Read acknowledgements until all of the wanted ones came; returns all that came."""
    heard: set[str] = set()
    while not wanted <= heard:
        heard.update((await host.hear(Ack)).message_ids)
    return heard


async def test_beats_are_answered_and_messages_wait_while_the_database_is_locked(host, greeting):
    greeting.register(Accepted, count_accepted)
    await host.greet()
    messages = [wire.accepted(number) for number in range(5)]
    waiting = {one.message_id for one in messages}
    with locked_database():
        await host.say(*messages)
        for _ in range(BEATS):
            beat = wire.beat(host.agent_id)
            await host.say(beat)
            assert not waiting & await heard_until(host, {beat.message_id})
    await heard_until(host, waiting)
    row = await Agent.objects.aget(id=host.agent_id)
    assert row.cpu_usage == len(waiting)


async def test_polled_beats_are_answered_while_the_database_is_locked(enrolled, greeting):
    agent, token = enrolled
    path = "/api/v1/nodes/heartbeat"

    async def beat() -> int:
        body = msgspec.to_builtins(wire.beat(agent.id))
        return (await call("POST", path, body, token=token)).status

    assert await beat() == 200  # from now on the credential is known
    with locked_database():
        assert [await beat() for _ in range(BEATS)] == [200] * BEATS
