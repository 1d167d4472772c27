"""The connection comes back by itself, by the best way there is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from agent_client.protocol.messages import Accepted, Go, ServerMessage, Welcome
from agent_client.protocol.session import Session
from agent_client.transport import backoff as backoff_module
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed
from agent_client.transport.link import Link, Ways
from tests.agent_client.fake_server import TOKEN, FakeServer, fake_server
from tests.agent_client.transport.test_transports import HELLO, beat, chunk, make


@dataclass
class Side:
    """The agent's side: a link and what came through it."""

    link: Link
    session: Session
    received: list[ServerMessage] = field(default_factory=list)
    lost: int = 0

    def count(self, kind: type) -> int:
        return sum(isinstance(message, kind) for message in self.received)

    async def until(self, holds) -> None:
        async with asyncio.timeout(10):
            while not holds():
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def linked(
    *urls: str, transports: str = "websocket polling", token: str = TOKEN, tries: int = 2
) -> AsyncIterator[Side]:
    """Run a link to the first address that answers."""
    session = Session(prefix="m")
    ways = {kind: (lambda url, kind=kind: make(kind, url, token)) for kind in transports.split()}
    link = Link(
        ways=Ways(hello=lambda: HELLO, upgrade_seconds=0.05, **ways),
        backoff=Backoff(urls, initial_seconds=0.01, max_seconds=0.02, tries_per_address=tries),
        session=session,
        on_message=lambda message: side.received.append(message),
        on_lost=lambda: setattr(side, "lost", side.lost + 1),
    )
    side = Side(link, session)
    running = asyncio.create_task(link.run())
    try:
        yield side
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


def accepted(session: Session, task_id: int = 1) -> None:
    session.queue(Accepted(message_id=session.next_id(), task_id=task_id, offer=1))


async def test_socket_is_preferred_when_it_gets_through(server):
    async with linked(server.url) as side:
        await side.link.wait_ready()
        assert side.link.transport_name == "websocket"


async def test_polling_carries_on_when_a_proxy_blocks_the_socket(server):
    server.block_websocket = 502
    async with linked(server.url) as side:
        await side.link.wait_ready()
        assert side.link.transport_name == "polling"
        accepted(side.session)
        side.link.flush()
        await side.until(lambda: side.count(Go))


async def test_socket_takes_over_when_the_proxy_lets_it_through(server):
    server.block_websocket = 502
    async with linked(server.url) as side:
        await side.link.wait_ready()
        server.block_websocket = 0
        await side.until(lambda: side.link.transport_name == "websocket" and side.link.is_ready)
        accepted(side.session)
        side.link.flush()
        await side.until(lambda: side.count(Go))


async def test_message_waits_when_there_is_no_connection(server):
    async with linked("http://127.0.0.1:1", server.url, tries=3) as side:
        accepted(side.session)
        side.link.flush()
        await side.until(lambda: side.count(Go))


async def test_unconfirmed_is_repeated_when_the_connection_was_cut(server):
    server.brain.say_go = False
    async with linked(server.url, transports="websocket") as side:
        await side.link.wait_ready()
        accepted(side.session)
        assert side.session.take()
        await server.cut()
        server.brain.say_go = True
        await side.until(lambda: side.count(Go))
        assert side.lost == 1
        assert side.session.unconfirmed == 0


async def test_only_polling_is_tried_when_the_configuration_says_so(server):
    async with linked(server.url, transports="polling") as side:
        await side.link.wait_ready()
        assert "upgrade" not in server.requests


async def test_polling_is_never_tried_when_the_configuration_says_so(server):
    server.block_websocket = 502
    async with linked(server.url, transports="websocket") as side:
        await side.until(lambda: server.requests.count("upgrade") >= 3)
        assert set(server.requests) == {"upgrade"}
        assert not side.link.is_ready


async def test_slow_lane_is_taken_when_the_credential_is_refused(server, monkeypatch):
    monkeypatch.setattr(backoff_module, "SLOW_LANE_SECONDS", 0.3)
    async with linked(server.url, token="dpa_revoked") as side:
        await side.until(lambda: len(server.requests) >= 2)
        await asyncio.sleep(0.1)
        assert server.requests == ["upgrade", "/api/v1/nodes/heartbeat"]
        await side.until(lambda: len(server.requests) >= 4)


async def test_connection_is_made_anew_when_nobody_answers_beats(server):
    async with linked(server.url, transports="websocket") as side:
        await side.link.wait_ready()
        side.link.drop("silence")
        await side.until(lambda: side.count(Welcome) == 2)
        assert side.lost == 1


async def test_beat_goes_when_it_is_given(server):
    async with linked(server.url) as side:
        await side.link.wait_ready()
        side.link.send_beat(beat())
        await server.until(lambda: any(m.message_id == "beat" for m in server.brain.received))


async def test_chunk_fails_when_there_is_no_connection():
    async with linked("http://127.0.0.1:1") as side:
        with pytest.raises(ConnectionFailed):
            await side.link.send_chunk(chunk(0, b"x"))


async def test_polling_is_used_when_the_socket_opens_and_says_nothing(server, monkeypatch):
    monkeypatch.setattr("agent_client.transport.link.CONNECT_TIMEOUT_SECONDS", 0.2)
    welcome = server.brain._welcome
    server.brain._welcome = lambda: beat_ack()
    async with linked(server.url) as side:
        await side.until(lambda: side.link.transport_name == "polling" and side.link.is_ready)
    server.brain._welcome = welcome


def beat_ack() -> ServerMessage:
    from agent_client.protocol.messages import Ack

    return Ack(message_id="")
