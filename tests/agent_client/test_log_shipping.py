"""Output reaches the server at once, in order, within windows, and again after losses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_client import log_follower, log_shipping
from agent_client.log_shipping import LogShipper
from agent_client.protocol import frames
from agent_client.protocol.messages import LogChunk
from agent_client.transport.base import ConnectionFailed

KEY = (1, 1)
OTHER = (2, 1)


class Way:
    """A connection that keeps what it is given; a test waits for it and answers."""

    def __init__(self) -> None:
        self.chunks: asyncio.Queue[LogChunk] = asyncio.Queue()
        self.is_broken = False
        self.shipped: dict[tuple[int, int], int] = {}
        self.stored: list[tuple[int, int]] = []
        self.happened = asyncio.Event()

    async def send(self, chunk: LogChunk) -> None:
        if self.is_broken:
            raise ConnectionFailed("cut")
        await self.chunks.put(chunk)

    def on_shipped(self, key: tuple[int, int], log_bytes: int) -> None:
        self.shipped[key] = log_bytes
        self.happened.set()

    def on_stored(self, key: tuple[int, int]) -> None:
        self.stored.append(key)

    async def next(self) -> LogChunk:
        async with asyncio.timeout(5):
            return await self.chunks.get()

    async def end(self) -> dict[tuple[int, int], int]:
        async with asyncio.timeout(5):
            await self.happened.wait()
        self.happened.clear()
        return self.shipped


@pytest.fixture
def way() -> Way:
    return Way()


@pytest.fixture
async def shipper(way) -> AsyncIterator[LogShipper]:
    numbers = iter(range(10**6))
    found = LogShipper(
        send_chunk=way.send,
        next_id=lambda: str(next(numbers)),
        on_shipped=way.on_shipped,
        on_stored=way.on_stored,
    )
    running = asyncio.create_task(found.run())
    found.connected()
    yield found
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
def output(tmp_path) -> Path:
    path = tmp_path / "output"
    path.touch()
    return path


def write(path: Path, *payloads: bytes) -> None:
    with path.open("ab") as file:
        for payload in payloads:
            file.write(frames.encode(frames.STDOUT, 1, payload))


def payload(chunk: LogChunk) -> bytes:
    return b"".join(frame.payload for frame in frames.decode(chunk.frames))


def confirm(shipper: LogShipper, chunk: LogChunk) -> None:
    shipper.confirmed((chunk.message_id,))
    shipper.stored((chunk.task_id, chunk.offer), chunk.offset + len(payload(chunk)))


async def test_line_is_shipped_when_it_is_written(shipper, way, output):
    shipper.follow(KEY, output, is_new=True)
    write(output, b"one\n")
    assert payload(await way.next()) == b"one\n"
    write(output, b"two\n")
    chunk = await way.next()
    assert (chunk.offset, payload(chunk), shipper.log_bytes(KEY)) == (4, b"two\n", 8)


async def test_lines_of_a_busy_task_are_batched_when_they_come_fast(shipper, way, output):
    shipper.follow(KEY, output, is_new=True)
    write(output, b"first")
    await way.next()
    for _ in range(20):
        write(output, b"x")
        await asyncio.sleep(0)
    assert len(payload(await way.next())) == 20


async def test_end_is_said_once_when_the_last_byte_is_out(shipper, way, output):
    write(output, b"all")
    shipper.follow(KEY, output, is_new=True)
    shipper.finish(KEY)
    shipper.finish(KEY)
    assert await way.end() == {KEY: 3}
    assert payload(await way.next()) == b"all"
    assert way.stored == []


async def test_log_is_stored_when_the_server_has_all_of_it(shipper, way, output):
    write(output, b"all")
    shipper.follow(KEY, output, is_new=True)
    shipper.finish(KEY)
    await way.end()
    assert not shipper.is_stored(KEY)
    confirm(shipper, await way.next())
    assert shipper.is_stored(KEY)
    assert way.stored == [KEY]


async def test_empty_log_is_shipped_and_stored_when_nothing_was_written(shipper, way, tmp_path):
    shipper.follow(KEY, tmp_path / "never-made", is_new=True)
    shipper.finish(KEY)
    assert await way.end() == {KEY: 0}
    assert way.stored == [KEY]


async def test_running_log_is_not_stored_when_all_so_far_is(shipper, way, output):
    write(output, b"some")
    shipper.follow(KEY, output, is_new=True)
    confirm(shipper, await way.next())
    assert not shipper.is_stored(KEY)


async def test_unconfirmed_bytes_are_sent_again_when_the_connection_was_lost(shipper, way, output):
    shipper.follow(KEY, output, is_new=True)
    write(output, b"one")
    confirm(shipper, await way.next())
    write(output, b"two")
    await way.next()
    shipper.disconnected()
    shipper.connected()
    chunk = await way.next()
    assert (chunk.offset, payload(chunk)) == (3, b"two")
    assert shipper.repeats == 1


async def test_nothing_is_sent_when_there_is_no_connection(shipper, way, output):
    shipper.disconnected()
    write(output, b"one")
    shipper.follow(KEY, output, is_new=True)
    await asyncio.sleep(0.05)
    assert way.chunks.empty()
    shipper.connected()
    assert payload(await way.next()) == b"one"


async def test_bytes_are_sent_again_when_sending_failed(shipper, way, output):
    way.is_broken = True
    write(output, b"one")
    shipper.follow(KEY, output, is_new=True)
    await asyncio.sleep(0.02)
    way.is_broken = False
    shipper.disconnected()
    shipper.connected()
    assert payload(await way.next()) == b"one"


async def test_log_is_not_stored_when_its_end_was_lost_with_the_connection(shipper, way, output):
    write(output, b"all")
    shipper.follow(KEY, output, is_new=True)
    shipper.finish(KEY)
    await way.end()
    shipper.disconnected()
    assert not shipper.is_stored(KEY)


async def test_shipping_goes_on_where_the_server_is_when_adopted(shipper, way, output):
    write(output, b"one", b"two", b"three")
    shipper.follow(KEY, output, is_new=False)
    shipper.finish(KEY)
    asked = await way.next()
    shipper.confirmed((asked.message_id,))
    shipper.stored(KEY, 11)
    assert await way.end() == {KEY: 11}
    assert way.stored == [KEY]


async def test_rest_is_shipped_when_the_server_has_a_part_of_an_adopted_log(
    shipper, way, output, monkeypatch
):
    monkeypatch.setattr(log_follower, "MAX_CHUNK_BYTES", 20)
    write(output, b"one", b"two", b"three")
    shipper.follow(KEY, output, is_new=False)
    await way.next()
    shipper.stored(KEY, 6)
    chunk = await way.next()
    assert (chunk.offset, payload(chunk)) == (6, b"three")


async def test_tasks_take_turns_when_one_floods(shipper, way, tmp_path, monkeypatch):
    monkeypatch.setattr(log_follower, "MAX_CHUNK_BYTES", 20)
    shipper.disconnected()
    write(tmp_path / "a", *[b"flood"] * 50)
    write(tmp_path / "b", b"line")
    shipper.follow(KEY, tmp_path / "a", is_new=True)
    shipper.follow(OTHER, tmp_path / "b", is_new=True)
    shipper.connected()
    owners = [(await way.next()).task_id for _ in range(3)]
    assert 2 in owners


async def test_sending_waits_when_the_window_is_full(shipper, way, output, monkeypatch):
    monkeypatch.setattr(log_follower, "WINDOW_BYTES", 6)
    monkeypatch.setattr(log_follower, "MAX_CHUNK_BYTES", 20)
    write(output, *[b"abc"] * 4)
    shipper.follow(KEY, output, is_new=True)
    first, _second = await way.next(), await way.next()
    await asyncio.sleep(0.02)
    assert way.chunks.empty()
    confirm(shipper, first)
    assert (await way.next()).offset == 6


async def test_all_tasks_wait_when_together_they_have_too_much_in_the_air(
    shipper, way, tmp_path, monkeypatch
):
    monkeypatch.setattr(log_shipping, "TOTAL_WINDOW_BYTES", 10)
    write(tmp_path / "a", b"abc")
    write(tmp_path / "b", b"def")
    shipper.follow(KEY, tmp_path / "a", is_new=True)
    shipper.follow(OTHER, tmp_path / "b", is_new=True)
    first = await way.next()
    await asyncio.sleep(0.02)
    assert way.chunks.empty()
    confirm(shipper, first)
    assert (await way.next()).task_id != first.task_id


async def test_chunk_is_sent_again_when_the_server_was_busy(shipper, way, output, monkeypatch):
    monkeypatch.setattr(log_shipping, "SLOW_DOWN_SECONDS", 0.01)
    write(output, b"one")
    shipper.follow(KEY, output, is_new=True)
    refused = await way.next()
    assert shipper.refused(refused.message_id, is_final=False)
    again = await way.next()
    assert (again.offset, payload(again)) == (0, b"one")
    assert again.message_id != refused.message_id


async def test_shipping_ends_when_the_server_refuses_for_good(shipper, way, output):
    write(output, b"one")
    shipper.follow(KEY, output, is_new=True)
    shipper.finish(KEY)
    chunk = await way.next()
    assert shipper.refused(chunk.message_id, is_final=True)
    await way.end()
    assert shipper.is_stored(KEY)
    assert way.stored == [KEY]


async def test_refusal_is_not_ours_when_no_chunk_had_that_id(shipper):
    assert not shipper.refused("other", is_final=True)


async def test_bytes_are_sent_again_when_no_answer_comes(way, output, monkeypatch):
    monkeypatch.setattr(log_shipping, "STALL_SECONDS", 0.05)
    shipper = LogShipper(
        send_chunk=way.send,
        next_id=lambda: "id",
        on_shipped=way.on_shipped,
        on_stored=way.on_stored,
    )
    write(output, b"one")
    shipper.follow(KEY, output, is_new=True)
    shipper.connected()
    running = asyncio.create_task(shipper.run())
    assert [(await way.next()).offset for _ in range(2)] == [0, 0]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_nothing_more_is_shipped_when_the_task_is_dropped(shipper, way, output):
    shipper.follow(KEY, output, is_new=True)
    write(output, b"one")
    await way.next()
    shipper.drop(KEY)
    shipper.drop(KEY)
    write(output, b"two")
    await asyncio.sleep(0.1)
    assert way.chunks.empty()
    assert shipper.is_stored(KEY)
    shipper.stored(KEY, 3)
    assert shipper.log_bytes(KEY) == 0


async def test_many_lines_arrive_in_order_when_connections_are_lost(shipper, way, output):
    lines = [b"line %d\n" % number for number in range(300)]
    shipper.follow(KEY, output, is_new=True)
    received = b""
    for number, line in enumerate(lines):
        write(output, line)
        if number % 40 == 39:
            shipper.disconnected()
            shipper.connected()
        while not way.chunks.empty():
            received = store(shipper, received, way.chunks.get_nowait())
        await asyncio.sleep(0)
    while len(received) < len(b"".join(lines)):
        received = store(shipper, received, await way.next())
    assert received == b"".join(lines)


def store(shipper: LogShipper, received: bytes, chunk: LogChunk) -> bytes:
    """Append a chunk as the server does and tell the shipper."""
    if chunk.offset <= len(received):
        received += payload(chunk)[len(received) - chunk.offset :]
    shipper.confirmed((chunk.message_id,))
    shipper.stored(KEY, len(received))
    return received
