"""Results on their way: batches, acknowledgement, refusals, silence."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import msgspec
import pytest

from agent_client.outbox.outbox import Outbox
from agent_client.outbox.segment import Record
from agent_client.probing.results import payload_of
from agent_client.probing.uploader import Uploader
from agent_client.protocol.probes import ProbeResult
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import Endpoint
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer, fake_server
from tests.agent_client.outbox.faulty import FaultyFileSystem


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


@pytest.fixture
def outbox() -> Outbox:
    return Outbox(FaultyFileSystem(), summarise=lambda payloads, take: [])


def put(outbox: Outbox, *task_ids: int) -> None:
    records = []
    for task_id in task_ids:
        sequence = outbox.take_sequence()
        result = ProbeResult(task_id=task_id, tenant_id="t", seq=0, outcome="up")
        records.append(Record(sequence, payload_of(result, sequence, outbox.stream)))
    outbox.commit(records)


@pytest.fixture
async def uploader(server, outbox) -> AsyncIterator[Uploader]:
    backoff = Backoff(
        [server.url],
        initial_seconds=0.01,
        max_seconds=0.02,
        tries_per_address=9,
        rng=random.Random(1),
    )
    found = Uploader(
        outbox,
        backoff=backoff,
        endpoint=lambda url: Endpoint(url, AGENT_ID, TOKEN),
        batch_seconds=0.01,
    )
    found.start()
    yield found
    await asyncio.to_thread(found.close, 5)


async def emptied(outbox: Outbox) -> None:
    async with asyncio.timeout(10):
        while outbox.waiting:
            await asyncio.sleep(0.005)


def ids(server: FakeServer) -> list[int]:
    return [one.task_id for one in server.dial.results.values()]


async def test_results_arrive_in_order(server, outbox, uploader):
    put(outbox, 1, 2, 3)
    uploader.wake()
    await emptied(outbox)
    assert ids(server) == [1, 2, 3]


async def test_large_backlog_goes_in_batches_of_five_hundred(server, outbox, uploader):
    put(outbox, *range(1_200))
    uploader.wake()
    await emptied(outbox)
    assert ids(server) == list(range(1_200))
    assert server.requests.count("/api/v1/results") == 3


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_results_arrive_once_when_the_server_was_busy(
    server, outbox, uploader, status, monkeypatch
):
    monkeypatch.setattr("agent_client.probing.uploader.BUSY_SECONDS", 0.01)
    server.dial.statuses = [status, status]
    put(outbox, 1, 2)
    uploader.wake()
    await emptied(outbox)
    assert (ids(server), server.dial.repeats) == ([1, 2], 0)


async def test_batch_is_sent_again_under_the_same_numbers_when_the_answer_is_lost(
    server, outbox, uploader
):
    server.dial.statuses = [0]
    put(outbox, 1, 2)
    uploader.wake()
    await emptied(outbox)
    assert (ids(server), server.dial.repeats) == ([1, 2], 2)


async def test_refused_result_does_not_hold_up_the_others(server, outbox, uploader):
    server.dial.rejected = {2: "unknown_probe"}
    put(outbox, 1, 2, 3)
    uploader.wake()
    await emptied(outbox)
    assert ids(server) == [1, 3]
    assert uploader.rejected == 1


async def test_spoiled_batch_is_halved_until_the_bad_result_is_alone(server, outbox, uploader):
    server.dial.statuses = [400, 400, 400]  # of four, of two, of one
    put(outbox, 1, 2, 3, 4)
    uploader.wake()
    await emptied(outbox)
    assert ids(server) == [2, 3, 4]


async def test_results_wait_on_disk_when_the_server_is_away(server, outbox, uploader):
    server.http_status = 502
    put(outbox, 1)
    uploader.wake()
    async with asyncio.timeout(5):
        while server.requests.count("/api/v1/results") < 3:
            await asyncio.sleep(0.005)
    assert outbox.waiting == 1
    server.http_status = 200
    await emptied(outbox)


async def test_last_results_are_sent_when_the_agent_stops(server, outbox, uploader):
    put(outbox, 1)
    await asyncio.to_thread(uploader.close, 5)
    assert ids(server) == [1]


async def test_body_is_a_list_of_results_when_one_is_sent(server, outbox, uploader):
    put(outbox, 7)
    uploader.wake()
    await emptied(outbox)
    (result,) = server.dial.results.values()
    assert msgspec.structs.asdict(result)["task_id"] == 7
