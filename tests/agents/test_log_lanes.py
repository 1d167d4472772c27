"""Log lanes: one task in order, other tasks beside it, bounded bytes."""

from __future__ import annotations

import threading

import pytest

from agent_client.protocol.messages import LogChunk
from agents import log_lanes
from agents.inbox_registry import Registry
from agents.log_lanes import LogLanes
from agents.principal import AgentPrincipal
from tests.agents import wire

SPEAKER = AgentPrincipal("a-1", "default")
WAIT_SECONDS = 10


def chunk(task_id: int, offset: int = 0, data: bytes = b"x") -> LogChunk:
    """Return a chunk of a task."""
    return LogChunk(message_id=wire.name(), task_id=task_id, offer=1, offset=offset, frames=data)


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def lanes(registry):
    lanes = LogLanes(registry)
    yield lanes
    lanes.stop()


def test_chunks_of_a_task_are_stored_in_order(registry, lanes):
    offsets: list[int] = []
    registry.register_log_sink(lambda who, piece: offsets.append(piece.offset) or 0)
    done = threading.Semaphore(0)
    for offset in range(100):
        assert lanes.put(SPEAKER, chunk(1, offset), lambda reply: done.release())
    assert all(done.acquire(timeout=WAIT_SECONDS) for _ in range(100))
    assert offsets == list(range(100))


def test_slow_task_does_not_delay_one_of_another_lane(registry, lanes):
    release, done = threading.Event(), threading.Event()

    def sink(who, piece):
        if piece.task_id == 1:
            release.wait(WAIT_SECONDS)
        return 0

    registry.register_log_sink(sink)
    lanes.put(SPEAKER, chunk(1), lambda reply: None)
    lanes.put(SPEAKER, chunk(2), lambda reply: done.set())
    assert done.wait(WAIT_SECONDS)
    release.set()


def test_full_lane_takes_no_more(registry, lanes, monkeypatch):
    monkeypatch.setattr(log_lanes, "MAX_LANE_BYTES", 10)
    release, entered = threading.Event(), threading.Event()

    def sink(who, piece):
        entered.set()
        release.wait(WAIT_SECONDS)
        return 0

    registry.register_log_sink(sink)
    lanes.put(SPEAKER, chunk(1), lambda reply: None)
    assert entered.wait(WAIT_SECONDS)
    assert lanes.put(SPEAKER, chunk(1, data=b"x" * 10), lambda reply: None)
    assert not lanes.put(SPEAKER, chunk(1), lambda reply: None)
    release.set()


def test_chunk_without_a_store_is_to_be_repeated(registry):
    reply = log_lanes.store(registry, SPEAKER, chunk(1))
    assert [error.code for error in reply.errors] == ["unavailable"]
