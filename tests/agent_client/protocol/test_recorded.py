"""Agents and servers of different releases understand each other (R30).

`recorded/` holds what each release said, a file for each; see `samples.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_client import __version__
from agent_client.protocol import codec, frames
from agent_client.protocol.probes import ProbeResult, ProbeSet
from tests.agent_client.protocol.samples import KINDS, LOG, recording

RECORDED = Path(__file__).with_name("recorded")
READERS: dict[str, Callable[[bytes], Any]] = {
    "agent": lambda data: codec.decode_agent_frame(data)[0],
    "server": lambda data: codec.decode_server_frame(data)[0],
    "answer": codec.decode_answer,
    "heartbeat": codec.decode_heartbeat,
    "probes": msgspec.json.Decoder(ProbeSet).decode,
    "result": msgspec.json.Decoder(ProbeResult).decode,
}


def recorded() -> Iterator[tuple[str, Any]]:
    """Yield who said each recorded frame, and the frame."""
    for path in sorted(RECORDED.glob("*.jsonl")):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            yield entry["by"], entry["frame"]


def read(by: str, frame: Any) -> Any:
    """Return what this release makes of a frame."""
    if by == "chunk":
        return codec.decode_chunk(base64.b64decode(frame))
    return READERS[by](json.dumps(frame).encode())


def with_news(value: Any) -> Any:
    """Return a frame as a newer release might say it: a field more in every object."""
    if isinstance(value, dict) and value.keys() != {"key"}:
        return {**{k: with_news(v) for k, v in value.items()}, "news": {"since": 2}}
    return [with_news(one) for one in value] if isinstance(value, list) else value


def has_all(value: Any, frame: Any) -> bool:
    """Return whether a message has everything that its frame says."""
    if isinstance(value, msgspec.Struct):
        fields = frame.keys() - {"type"}
        return all(has_all(getattr(value, name, None), frame[name]) for name in fields)
    if isinstance(value, tuple | list):
        return all(map(has_all, value, frame)) and len(value) == len(frame)
    return bool(value == frame)


def test_this_release_is_recorded():
    assert (RECORDED / f"{__version__}.jsonl").exists()
    said = {
        (one["by"], str(one["frame"].get("type"))) for one in recording() if one["by"] != "chunk"
    }
    kept = {(by, str(frame.get("type"))) for by, frame in recorded() if by != "chunk"}
    assert said <= kept
    assert {by for by, _ in kept} == set(KINDS)


def test_every_recorded_frame_is_read_with_all_that_it_says():
    for by, frame in recorded():
        message = read(by, frame)
        if by == "chunk":
            assert [one.payload for one in frames.decode(message.frames)] == [b"out\n", b"err\n"]
            assert message.frames == LOG
            continue
        assert has_all(message, frame), (by, frame)


def test_field_of_a_newer_release_changes_nothing():
    for by, frame in recorded():
        if by != "chunk":
            assert read(by, with_news(frame)) == read(by, frame), (by, frame)


NEWS = {"type": "news", "message_id": "n1", "since": 2}
BROKEN = {"type": "accepted", "message_id": "n2", "task_id": "seven", "offer": 1}
KNOWN = {"type": "accepted", "message_id": "k1", "task_id": 7, "offer": 1}


@pytest.mark.parametrize("decode", [codec.decode_agent_frame, codec.decode_server_frame])
def test_frame_of_an_unknown_kind_alone_is_told_by_its_id(decode):
    unread: list[codec.Unread] = []
    assert decode(json.dumps(NEWS), on_unread=unread.append) == []
    assert [one.message_id for one in unread] == ["n1"]


def test_messages_beside_an_unreadable_one_count():
    unread: list[codec.Unread] = []
    frame = json.dumps([NEWS, KNOWN, BROKEN, 5])
    messages = codec.decode_agent_frame(frame, on_unread=unread.append)
    assert [one.message_id for one in messages] == ["k1"]
    assert [one.message_id for one in unread] == ["n1", "n2", ""]


def test_beat_with_an_unreadable_message_counts():
    unread: list[codec.Unread] = []
    body = json.dumps({"agent_id": "a", "status": "idle", "messages": [NEWS, KNOWN]}).encode()
    beat = codec.decode_heartbeat(body, on_unread=unread.append)
    assert (beat.status, [one.message_id for one in beat.messages]) == ("idle", ["k1"])
    assert [one.message_id for one in unread] == ["n1"]


@pytest.mark.parametrize("data", [b"{", b"[1", b'{"a": 1},{"a": 2}', b"", b"[" * 2_000])
def test_what_is_no_frame_is_refused_as_a_whole(data):
    with pytest.raises(codec.ProtocolError):
        codec.decode_agent_frame(data, on_unread=pytest.fail)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"messages": [5]}', b'{"agent_id": 5}'])
def test_what_is_no_beat_is_refused(body):
    with pytest.raises(codec.ProtocolError):
        codec.decode_heartbeat(body, on_unread=pytest.fail)


def test_too_many_messages_are_refused_also_when_some_cannot_be_read():
    with pytest.raises(codec.ProtocolError, match="more than"):
        codec.decode_agent_frame(json.dumps([NEWS] * 257), on_unread=lambda one: None)
