"""The browser's live socket: topics of its own tenant, bounded, coalesced."""

from __future__ import annotations

import asyncio
import json

import pytest
from channels.testing import WebsocketCommunicator

from dialer_platform.console import consumers, live

TOPIC = "task.4711"


async def opened(principal) -> WebsocketCommunicator:
    """Return an open socket of a person."""
    socket = WebsocketCommunicator(consumers.LiveConsumer.as_asgi(), "/ws/live/")
    socket.scope["principal"] = principal
    assert (await socket.connect())[0]
    return socket


async def subscribe(socket: WebsocketCommunicator, *topics: str) -> list[str]:
    """Name the topics of the page and return those that were confirmed."""
    await socket.send_to(text_data=json.dumps({"subscribe": list(topics)}))
    return json.loads(await socket.receive_from())["subscribed"]


@pytest.mark.django_db(transaction=True)
async def test_hint_reaches_the_page_that_shows_the_topic(principal):
    socket = await opened(principal)
    assert await subscribe(socket, TOPIC, "tasks") == [TOPIC, "tasks"]
    await asyncio.to_thread(live.publish, TOPIC, tenant_id="default")
    hint = json.loads(await socket.receive_from(timeout=5))
    assert hint["topic"] == TOPIC
    assert isinstance(hint["version"], int)
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
async def test_hint_of_another_tenant_never_arrives(principal):
    socket = await opened(principal)
    await subscribe(socket, TOPIC)
    live.publish(TOPIC, tenant_id="other")
    assert await socket.receive_nothing(timeout=0.2)
    await socket.disconnect()


@pytest.mark.django_db(transaction=True)
async def test_new_list_of_topics_replaces_the_old_one(principal):
    before = live.count_subscriptions()
    socket = await opened(principal)
    await subscribe(socket, TOPIC, "tasks", "agents")
    await subscribe(socket, "agents")
    assert live.count_subscriptions() == before + 1
    await socket.disconnect()
    assert live.count_subscriptions() == before


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "frame",
    [
        "not json",
        "[]",
        '{"subscribe": "tasks"}',
        '{"subscribe": [1]}',
        '{"subscribe": ["no such/../topic"]}',
        json.dumps({"subscribe": [f"task.{n}" for n in range(65)]}),
        json.dumps({"subscribe": ["task." + "9" * 9000]}),
        "[" * 8_000,
    ],
)
async def test_socket_is_closed_when_the_frame_is_wrong(principal, frame):
    socket = await opened(principal)
    await socket.send_to(text_data=frame)
    closed = await socket.receive_output(timeout=5)
    assert closed["code"] == consumers.BAD_REQUEST_CLOSE_CODE
    await socket.disconnect()
