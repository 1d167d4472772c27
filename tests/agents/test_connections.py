"""Connections: ordered, bounded, written to from any thread, one per host."""

from __future__ import annotations

import asyncio

import pytest

from agent_client.protocol.messages import Ack
from agents import connections
from agents.connections import Connection
from agents.principal import AgentPrincipal

SPEAKER = AgentPrincipal("a-1", "default")


def message(name: str) -> Ack:
    """Return a message of the server."""
    return Ack(message_id=name)


@pytest.fixture
async def connection() -> Connection:
    """Return a connection whose hello was answered."""
    connection = Connection(SPEAKER, "i-1")
    connection.welcome([message("welcome")])
    await connection.take()
    return connection


async def test_messages_wait_for_the_welcome_and_follow_it():
    connection = Connection(SPEAKER, "i-1")
    connection.send([message("1"), message("2")])
    connection.welcome([message("welcome")])
    assert [one.message_id for one in await connection.take()] == ["welcome", "1", "2"]


async def test_message_from_another_thread_wakes_the_sender(connection):
    waiting = asyncio.create_task(connection.take())
    await asyncio.sleep(0)
    await asyncio.to_thread(connection.send, [message("1")])
    assert [one.message_id for one in await waiting] == ["1"]


async def test_messages_that_gather_are_taken_together(connection):
    for number in range(3):
        connection.send([message(str(number))])
    assert len(await connection.take()) == 3


async def test_closed_connection_drops_what_waits(connection):
    connection.send([message("1")])
    connection.close(connections.CLOSE_SUPERSEDED)
    assert await connection.take() == []
    assert not connection.send([message("2")])


async def test_first_close_code_wins(connection):
    connection.close(connections.CLOSE_UNAUTHENTICATED)
    connection.close(connections.CLOSE_SUPERSEDED)
    assert connection.close_code == connections.CLOSE_UNAUTHENTICATED


async def test_full_queue_closes_the_connection(connection, monkeypatch):
    monkeypatch.setattr(connections, "MAX_OUTBOUND_MESSAGES", 1)
    assert connection.send([message("1")])
    assert not connection.send([message("2")])
    assert connection.close_code == connections.CLOSE_TOO_SLOW


async def test_older_connection_does_not_unregister_the_newer():
    older, newer = Connection(SPEAKER, "i-1"), Connection(SPEAKER, "i-1")
    connections.register(older)
    connections.register(newer)
    connections.unregister(older)
    assert connections.get("a-1") is newer
    assert (older.close_code, connections.count()) == (connections.CLOSE_SUPERSEDED, 1)


async def test_host_is_closed_by_its_id(connection):
    connections.register(connection)
    connections.close("a-1", connections.CLOSE_UNAUTHENTICATED)
    connections.close("a-2", connections.CLOSE_UNAUTHENTICATED)
    assert connection.close_code == connections.CLOSE_UNAUTHENTICATED


def test_connection_of_a_closed_loop_takes_nothing():
    async def make() -> Connection:
        return Connection(SPEAKER, "i-1")

    loop = asyncio.new_event_loop()
    connection = loop.run_until_complete(make())
    loop.close()
    connection._loop_thread = 0
    assert not connection.send([message("1")])
