"""Both transports carry the same messages and say the same about failures."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agent_client.protocol import frames
from agent_client.protocol.messages import (
    Accepted,
    Ack,
    Capacity,
    Go,
    Heartbeat,
    Hello,
    LogChunk,
    TasksBatch,
    Welcome,
)
from agent_client.transport.base import (
    ConnectionFailed,
    CredentialRefused,
    Endpoint,
    HandshakeBlocked,
    Transport,
)
from agent_client.transport.polling import PollingTransport
from agent_client.transport.websocket import WebSocketTransport
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer, fake_server, spec

HELLO = Hello(
    message_id="hello",
    agent_id=AGENT_ID,
    instance_id="i",
    boot_id="b",
    version="1",
    capacity=Capacity(cpu_cores=1, memory_bytes=1, slots=1),
)


def beat() -> Heartbeat:
    return Heartbeat(message_id="beat", agent_id=AGENT_ID)


def make(kind: str, url: str, token: str = TOKEN) -> Transport:
    endpoint = Endpoint(url, AGENT_ID, token)
    if kind == "websocket":
        return WebSocketTransport(endpoint)
    return PollingTransport(endpoint, make_beat=beat)


def chunk(offset: int, payload: bytes) -> LogChunk:
    data = frames.encode(frames.STDOUT, 1, payload)
    return LogChunk(message_id=f"c{offset}", task_id=1, offer=1, offset=offset, frames=data)


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


@pytest.fixture(params=["websocket", "polling"])
async def transport(server, request) -> AsyncIterator[Transport]:
    found = make(request.param, server.url)
    await found.connect(HELLO)
    yield found
    await found.close()


async def failure(transport: Transport) -> Exception:
    """Return how connecting and receiving fails."""
    with pytest.raises((ConnectionFailed, CredentialRefused)) as caught:
        await transport.connect(HELLO)
        async for _ in transport.received():
            pass
    await transport.close()
    return caught.value


async def test_welcome_comes_first_when_hello_was_said(transport):
    received = transport.received()
    assert isinstance(await anext(received), Welcome)


async def test_messages_are_answered_when_sent(transport, server):
    received = transport.received()
    await anext(received)
    await transport.send([Accepted(message_id="m", task_id=1, offer=1)])
    async for message in received:
        if isinstance(message, Go):
            break
    assert message.tasks[0].task_id == 1
    assert "Accepted" in server.brain.kinds()


async def test_offers_arrive_when_the_server_has_some(transport, server):
    received = transport.received()
    await anext(received)
    await server.offer(spec(7))
    await transport.send([beat()])
    async for message in received:
        if isinstance(message, TasksBatch):
            break
    assert message.tasks == (spec(7),)


async def test_log_arrives_before_the_message_behind_it_when_both_are_sent(transport, server):
    received = transport.received()
    await anext(received)
    await transport.send_chunk(chunk(0, b"ab"))
    await transport.send_chunk(chunk(2, b"cd"))
    await transport.send([Accepted(message_id="m", task_id=9, offer=1)])
    async for message in received:
        if isinstance(message, Ack) and "m" in message.message_ids:
            break
    assert server.brain.logs == {1: b"abcd"}
    kinds = [type(one).__name__ for one in server.brain.received]
    assert kinds.index("LogChunk") < kinds.index("Accepted")


@pytest.mark.parametrize("kind", ["websocket", "polling"])
async def test_connection_fails_when_nobody_listens(kind):
    found = await failure(make(kind, "http://127.0.0.1:1"))
    assert type(found) is ConnectionFailed


@pytest.mark.parametrize("kind", ["websocket", "polling"])
async def test_connection_ends_when_it_is_cut(kind, server):
    found = make(kind, server.url)
    await found.connect(HELLO)
    received = found.received()
    await anext(received)
    await server.cut()
    server.http_status = 503
    with pytest.raises(ConnectionFailed):
        await found.send([beat()])
        async for _ in received:
            pass
    await found.close()


async def test_credential_is_refused_when_polling_with_a_wrong_token(server):
    found = await failure(make("polling", server.url, "dpa_wrong"))
    assert isinstance(found, CredentialRefused)
    assert found.detail == "no such credential"


async def test_socket_is_blocked_when_the_handshake_is_refused(server):
    assert isinstance(await failure(make("websocket", server.url, "dpa_x")), HandshakeBlocked)


@pytest.mark.parametrize(
    ("status", "kind"), [(401, CredentialRefused), (403, HandshakeBlocked), (502, HandshakeBlocked)]
)
async def test_status_decides_when_the_upgrade_is_answered(server, status, kind):
    server.block_websocket = status
    assert type(await failure(make("websocket", server.url))) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, CredentialRefused), (409, CredentialRefused), (500, ConnectionFailed)],
)
async def test_status_decides_when_a_beat_is_answered(server, status, kind):
    server.http_status = status
    found = await failure(make("polling", server.url))
    assert type(found) is kind
    assert found.detail == "as the test wants"


@pytest.mark.parametrize("kind", ["websocket", "polling"])
async def test_second_copy_is_told_to_get_an_identity_of_its_own(server, kind):
    server.http_status, server.close_code = 409, 4409
    found = await failure(make(kind, server.url))
    assert isinstance(found, CredentialRefused)
    assert found.code == "instance_conflict"
    assert "state directory of its own" in found.remedy


async def test_revoked_socket_is_told_to_enrol_again(server):
    server.close_code = 4401
    found = await failure(make("websocket", server.url))
    assert (type(found), found.code) == (CredentialRefused, "credential_refused")
    assert "enrol this host again" in found.remedy


@pytest.mark.parametrize(
    ("kind", "status"), [("websocket", 200), ("polling", 429), ("polling", 503)]
)
async def test_server_with_a_crowd_at_its_door_is_busy(server, kind, status):
    server.http_status, server.close_code = status, 1013
    found = await failure(make(kind, server.url))
    # No HandshakeBlocked: polling beside the socket would only add to the crowd.
    assert (type(found), found.code) == (ConnectionFailed, "server_busy")


async def test_answer_is_invalid_when_something_else_answers(server, monkeypatch):
    monkeypatch.setattr(server, "_request", lambda *_: (200, b"<html>"))
    found = await failure(make("polling", server.url))
    assert found.code == "server_answer_invalid"


async def test_sending_fails_when_the_socket_is_not_open(server):
    with pytest.raises(ConnectionFailed):
        await make("websocket", server.url).send([beat()])
