"""The doorbell between server processes, over the in-memory channel layer."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from channels.layers import get_channel_layer

from dialer_platform.console import relay


@pytest.fixture
def heard(monkeypatch) -> list[dict[str, str]]:
    """Return the payloads that reach the handler of the kind "test"."""
    payloads: list[dict[str, str]] = []
    monkeypatch.setattr(relay, "_handlers", {"test": payloads.append})
    monkeypatch.setattr(relay, "_queue", type(relay._queue)())
    return payloads


@pytest.fixture
def many_processes(settings):
    """Say that there may be other server processes."""
    settings.REDIS_URL = "redis://unused"


def test_broadcast_costs_nothing_when_there_is_one_process(heard, settings):
    settings.REDIS_URL = ""
    relay.broadcast("test", {"a": "1"})
    assert relay.take_queued() == []


def test_oldest_note_is_dropped_and_counted_when_the_queue_is_full(
    heard, many_processes, monkeypatch
):
    monkeypatch.setattr(relay, "MAX_QUEUED_NOTES", 2)
    before = relay.count_dropped()
    for number in "123":
        relay.broadcast("test", {"a": number})
    assert [payload["a"] for _, payload in relay.take_queued()] == ["2", "3"]
    assert relay.count_dropped() == before + 1


def test_one_message_takes_a_bounded_number_of_notes(heard, many_processes, monkeypatch):
    monkeypatch.setattr(relay, "MAX_NOTES_PER_MESSAGE", 2)
    for number in "123":
        relay.broadcast("test", {"a": number})
    assert [len(relay.take_queued()) for _ in range(3)] == [2, 1, 0]


def test_own_notes_are_ignored_when_they_come_back(heard):
    relay.receive({"from": relay.PROCESS_ID, "notes": [["test", {}]]})
    assert heard == []


def test_unknown_kind_is_ignored(heard):
    relay.receive({"from": "other", "notes": [["new kind", {}], ["test", {"a": "1"}]]})
    assert heard == [{"a": "1"}]


def test_failing_handler_does_not_silence_the_others(heard, caplog):
    def fail(payload: dict[str, str]) -> None:
        raise ValueError("broken")

    relay.on("broken", fail)
    relay.receive({"from": "other", "notes": [["broken", {}], ["test", {"a": "1"}]]})
    assert heard == [{"a": "1"}]
    assert "a handler of the relay failed" in caplog.text


async def test_note_travels_through_the_group(heard, many_processes):
    layer = get_channel_layer()
    channel = await layer.new_channel()
    await layer.group_add(relay.GROUP, channel)
    relay.start()
    with contextlib.ExitStack() as stack:
        stack.callback(relay.stop)
        relay.broadcast("test", {"a": "1"})
        message = await asyncio.wait_for(layer.receive(channel), 5)
    assert message["notes"] == [("test", {"a": "1"})]
    assert message["from"] == relay.PROCESS_ID


async def test_notes_of_others_reach_the_handler(heard, many_processes, monkeypatch):
    arrived = asyncio.Event()
    monkeypatch.setitem(relay._handlers, "test", lambda payload: arrived.set())
    relay.start()
    with contextlib.ExitStack() as stack:
        stack.callback(relay.stop)
        await asyncio.sleep(0)  # the receiving task joins the group
        message = {"type": "servers.notes", "from": "other", "notes": [["test", {}]]}
        for _ in range(50):
            await get_channel_layer().group_send(relay.GROUP, message)
            if arrived.is_set():
                break
            await asyncio.sleep(0)
        await asyncio.wait_for(arrived.wait(), 5)
