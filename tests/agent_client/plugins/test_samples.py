"""Samples on their way: bounded in memory, sent in order, sent again, never stuck on one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from agent_client.plugins.samples import MAX_BATCH_BYTES, Encoded, SampleBuffer
from agent_client.plugins.uploader import SampleUploader
from agent_client.protocol.plugins import MAX_VALUES_PER_REQUEST, PluginSample
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import Endpoint
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer


def sample(number: int, plugin: str = "p", text: str = "") -> PluginSample:
    return PluginSample(plugin, float(number), {"n": number}, (text,) if text else ())


def numbers(batch: list[Encoded]) -> list[int]:
    return [int(msgspec.json.decode(one.data)["at"]) for one in batch]


# --- the buffer --------------------------------------------------------------------------


def test_oldest_samples_make_room_and_are_counted_for_their_plugin():
    buffer = SampleBuffer(max_waiting=3)
    for number in range(5):
        buffer.put(sample(number, plugin="a" if number < 1 else "b"))
    assert numbers(buffer.take()) == [2, 3, 4]
    assert (buffer.dropped("a"), buffer.dropped("b"), buffer.dropped("c")) == (1, 1, 0)


def test_size_is_bounded_as_well_as_number():
    buffer = SampleBuffer(max_bytes=10_000)
    for number in range(100):
        buffer.put(sample(number, text="x" * 1_000))
    assert len(buffer) <= 10
    assert buffer.dropped("p") == 100 - len(buffer)


def test_batch_that_comes_back_keeps_its_place():
    buffer = SampleBuffer(max_waiting=10)
    for number in range(6):
        buffer.put(sample(number))
    batch = buffer.take(3)
    buffer.put(sample(6))
    buffer.put_back(batch)
    assert numbers(buffer.take()) == [0, 1, 2, 3, 4, 5, 6]


def test_batch_that_comes_back_to_a_full_buffer_loses_its_oldest():
    buffer = SampleBuffer(max_waiting=4)
    for number in range(3):
        buffer.put(sample(number))
    batch = buffer.take()
    for number in range(3, 6):
        buffer.put(sample(number))
    buffer.put_back(batch)
    assert numbers(buffer.take()) == [2, 3, 4, 5]
    assert buffer.dropped("p") == 2


def test_batch_is_bounded_in_values():
    buffer = SampleBuffer()
    for number in range(300):
        buffer.put(PluginSample("p", float(number), {f"m{n}": 1.0 for n in range(150)}, ("x",)))
    assert len(buffer.take()) == MAX_VALUES_PER_REQUEST // 151


def test_batch_is_bounded_in_bytes():
    buffer = SampleBuffer()
    for number in range(40):
        buffer.put(sample(number, text="x" * 60_000))
    batch = buffer.take()
    assert 1 <= len(batch) < 40
    assert sum(len(one.data) for one in batch) <= MAX_BATCH_BYTES


def test_every_sample_is_sent_or_counted_whatever_the_order():
    rng, buffer = random.Random(5), SampleBuffer(max_waiting=7, max_bytes=2_000)
    put, sent = 0, 0
    for _ in range(2_000):
        action = rng.choice(["put", "put", "send", "fail"])
        if action == "put":
            buffer.put(sample(put, text="x" * rng.randrange(300)))
            put += 1
        else:
            batch = buffer.take(rng.randrange(1, 5))
            if action == "send":
                sent += len(batch)
            else:
                buffer.put(sample(put))
                put += 1
                buffer.put_back(batch)
        assert len(buffer) <= 7
    assert put == sent + len(buffer) + buffer.dropped("p")
    assert buffer.dropped("p") > 0


# --- the way ---------------------------------------------------------------------------


@pytest.fixture
def buffer() -> SampleBuffer:
    return SampleBuffer()


@pytest.fixture
async def uploader(server: FakeServer, buffer: SampleBuffer) -> AsyncIterator[SampleUploader]:
    backoff = Backoff([server.url], initial_seconds=0.02, max_seconds=0.05, tries_per_address=3)
    found = SampleUploader(
        buffer,
        backoff=backoff,
        endpoint=lambda url: Endpoint(url, AGENT_ID, TOKEN),
        batch_seconds=0.05,
    )
    yield found
    await asyncio.to_thread(found.close, 10)


async def until(holds) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.01)


def arrived(server: FakeServer) -> list[int]:
    return [int(one.at) for one in server.plugins.samples]


async def test_samples_arrive_in_order(server, buffer, uploader):
    for number in range(2_500):
        buffer.put(sample(number))
    uploader.start()
    await until(lambda: len(arrived(server)) == 2_500)
    assert arrived(server) == list(range(2_500))


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_samples_are_sent_again_after_an_outage(
    server, buffer, uploader, status, monkeypatch
):
    monkeypatch.setattr("agent_client.plugins.uploader.BUSY_SECONDS", 0.1)
    server.plugins.statuses = [status] * 3
    buffer.put(sample(1))
    uploader.start()
    await until(lambda: arrived(server))
    assert arrived(server) == [1]
    assert buffer.dropped("p") == 0


async def test_sample_that_the_server_never_takes_is_let_go_alone(server, buffer, uploader):
    answer = server.plugins.answer

    def refuse_seven(path, body):
        found = msgspec.json.decode(body) if path.endswith("samples") else []
        return (400, b"{}") if any(one["at"] == 7 for one in found) else answer(path, body)

    server.plugins.answer = refuse_seven
    for number in range(20):
        buffer.put(sample(number))
    uploader.start()
    await until(lambda: len(arrived(server)) == 19)
    assert sorted(arrived(server)) == [number for number in range(20) if number != 7]
    assert (uploader.refused, buffer.dropped("p")) == (1, 1)


async def test_refused_credential_loses_nothing(server, buffer, uploader, monkeypatch):
    monkeypatch.setattr("agent_client.transport.backoff.SLOW_LANE_SECONDS", 0.05)
    server.token = "another"
    buffer.put(sample(1))
    uploader.start()
    await until(lambda: server.requests.count("/api/v1/plugins/samples") >= 2)
    server.token = TOKEN
    await until(lambda: arrived(server) == [1])


async def test_what_waits_is_sent_at_the_end(server, buffer, uploader):
    uploader.start()
    buffer.put(sample(1))
    await asyncio.to_thread(uploader.close, 10)
    assert arrived(server) == [1]


async def test_refusals_in_the_answer_are_counted(server, buffer, uploader):
    server.plugins.answer = lambda path, body: (200, b'{"accepted": 0, "refused": [{"n": 1}]}')
    buffer.put(sample(1))
    uploader.start()
    await until(lambda: uploader.refused == 1)
    assert len(buffer) == 0
