"""The live log: frames from an offset, bounded for slow viewers, closed to strangers."""

from __future__ import annotations

import asyncio
import json
import struct

import pytest
from channels.testing import WebsocketCommunicator

from agent_client.protocol import frames
from agent_client.protocol.frames import STDERR, STDOUT
from dialer_platform.accounts.models import Tenant, User
from dialer_platform.accounts.principal import principal_for
from dialer_platform.console import live
from tasks import consumers
from tasks.consumers import LogConsumer, acknowledged_offset, asked_offset
from tasks.logs.files import store
from tasks.models import Task

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def viewer():
    """Return the principal of a person in the default tenant."""
    Tenant.objects.get_or_create(id="default", defaults={"name": "Default"})
    return principal_for(User.objects.create_superuser("viewer", password="x"))


@pytest.fixture
def task(viewer) -> Task:
    """Return a running task that has printed three pieces."""
    made = Task.objects.create(
        tenant_id="default",
        name="t",
        template_type="b",
        script_content="x",
        status="running",
        phase="running",
    )
    for stream, offset, data in [(STDOUT, 0, b"one\n"), (STDERR, 0, b"two\n"), (STDOUT, 4, b"3\n")]:
        store().append_stream(made.pk, stream, offset, data)
    return made


def socket(task_id: int, principal: object, query: str = "") -> WebsocketCommunicator:
    """Return a viewer's socket, as the route hands it to the consumer."""
    path = f"/ws/tasks/{task_id}/log/?{query}"
    communicator = WebsocketCommunicator(LogConsumer.as_asgi(), path)
    communicator.scope["principal"] = principal
    communicator.scope["url_route"] = {"args": (), "kwargs": {"task_id": str(task_id)}}
    return communicator


def decode(message: bytes) -> tuple[int, list[tuple[int, bytes]]]:
    """Return start offset and (stream, payload) pieces of a binary message."""
    (start,) = struct.unpack_from("!Q", message)
    return start, [(one.stream, one.payload) for one in frames.decode(message[8:])]


async def test_viewer_gets_what_is_stored_then_its_size(task, viewer):
    page = socket(task.pk, viewer)
    assert (await page.connect())[0]
    start, pieces = decode(await page.receive_from())
    assert (start, pieces) == (0, [(STDOUT, b"one\n"), (STDERR, b"two\n"), (STDOUT, b"3\n")])
    assert json.loads(await page.receive_from()) == {"size": 10, "complete": False}
    await page.disconnect()


async def test_viewer_resumes_in_the_middle_of_a_piece(task, viewer):
    page = socket(task.pk, viewer, "offset=6")
    await page.connect()
    assert decode(await page.receive_from()) == (6, [(STDERR, b"o\n"), (STDOUT, b"3\n")])
    await page.disconnect()


async def test_viewer_gets_more_when_a_hint_comes(task, viewer):
    page = socket(task.pk, viewer, "offset=10")
    await page.connect()
    assert json.loads(await page.receive_from())["size"] == 10
    await asyncio.to_thread(store().append_stream, task.pk, STDERR, 4, b"more")
    live.publish(f"log.{task.pk}", tenant_id="default")
    assert decode(await page.receive_from()) == (10, [(STDERR, b"more")])
    await page.disconnect()


async def test_viewer_gets_more_when_the_hint_is_lost(task, viewer, monkeypatch):
    monkeypatch.setattr(consumers, "LOOK_SECONDS", 0.05)
    page = socket(task.pk, viewer, "offset=10")
    await page.connect()
    await page.receive_from()
    await asyncio.to_thread(store().append_stream, task.pk, STDERR, 4, b"more")
    assert decode(await page.receive_from())[0] == 10
    await page.disconnect()


async def test_viewer_is_told_when_the_log_is_complete(task, viewer):
    page = socket(task.pk, viewer, "offset=10")
    await page.connect()
    await page.receive_from()
    await Task.objects.filter(pk=task.pk).aupdate(status="completed", phase="", log_bytes=10)
    live.publish(f"task.{task.pk}", tenant_id="default")
    assert json.loads(await page.receive_from()) == {"size": 10, "complete": True}
    await page.disconnect()


async def test_row_of_the_task_is_not_read_again_for_every_line(task, viewer, monkeypatch):
    reads: list[Task] = []
    monkeypatch.setattr(consumers, "_reload", lambda task: reads.append(task) or task)
    page = socket(task.pk, viewer, "offset=10")
    await page.connect()
    await page.receive_from()
    for number in range(3):
        await asyncio.to_thread(store().append_stream, task.pk, STDERR, 4 + number, b"x")
        live.publish(f"log.{task.pk}", tenant_id="default")
        assert decode(await page.receive_from())[0] == 10 + number
        await page.receive_from()
    assert len(reads) == 1
    await page.disconnect()


async def test_viewer_that_does_not_acknowledge_gets_a_window_and_no_more(
    task, viewer, monkeypatch
):
    monkeypatch.setattr(consumers, "WINDOW_BYTES", 6)
    monkeypatch.setattr(consumers, "CHUNK_BYTES", 4)
    page = socket(task.pk, viewer)
    await page.connect()
    assert decode(await page.receive_from())[1] == [(STDOUT, b"one\n")]
    assert json.loads(await page.receive_from())["size"] == 10
    assert decode(await page.receive_from())[1] == [(STDERR, b"tw")]
    assert await page.receive_nothing(0.1)
    await page.send_to('{"ack": 6}')
    assert decode(await page.receive_from()) == (6, [(STDERR, b"o\n"), (STDOUT, b"3\n")])
    await page.disconnect()


@pytest.mark.parametrize("text", ["x", "[]", '{"ack": -1}', '{"ack": 99}', '{"ack": true}'])
async def test_nonsense_closes_the_socket(task, viewer, text):
    page = socket(task.pk, viewer)
    await page.connect()
    for _ in range(2):
        await page.receive_from()
    await page.send_to(text)
    closed = await page.receive_output()
    assert (closed["type"], closed["code"]) == ("websocket.close", 4400)
    await page.disconnect()


async def test_unknown_task_is_refused(viewer):
    assert await socket(424_242, viewer).connect() == (False, 4404)


async def test_task_of_another_tenant_is_refused(task, viewer):
    other = await Tenant.objects.acreate(id="other", name="Other")
    await Task.objects.filter(pk=task.pk).aupdate(tenant=other)
    assert await socket(task.pk, viewer).connect() == (False, 4404)


async def test_leaving_ends_the_subscriptions(task, viewer):
    before = live.count_subscriptions()
    page = socket(task.pk, viewer)
    await page.connect()
    assert live.count_subscriptions() == before + 2
    await page.disconnect()
    assert live.count_subscriptions() == before


@pytest.mark.parametrize(
    ("query", "offset"), [(b"", 0), (b"offset=7", 7), (b"offset=-7", 0), (b"offset=x", 0)]
)
def test_asked_offset_is_a_number_or_the_start(query, offset):
    assert asked_offset(query) == offset


@pytest.mark.parametrize(
    ("text", "offset"), [('{"ack": 7}', 7), (None, None), ("x" * 300, None), ('{"a": 1}', None)]
)
def test_acknowledgement_is_read_strictly(text, offset):
    assert acknowledged_offset(text) == offset
