"""A frame file is given out in whole frames, from any offset, within a window."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent_client import log_follower
from agent_client.log_follower import START, LogFollower, Position, locate, scan
from agent_client.protocol import frames


def frame(payload: bytes) -> bytes:
    return frames.encode(frames.STDOUT, 1, payload)


@pytest.fixture
def output(tmp_path) -> Path:
    path = tmp_path / "output"
    path.write_bytes(b"")
    return path


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def everything(follower: LogFollower) -> list[tuple[int, bytes]]:
    return list(iter(follower.next_chunk, None))


def test_whole_frames_are_given_out_when_there_are_some(output):
    append(output, frame(b"ab") + frame(b"cde"))
    follower = LogFollower(output, stored_offset=0)
    assert everything(follower) == [(0, frame(b"ab") + frame(b"cde"))]
    assert follower.sent_offset == 5


def test_cut_frame_waits_when_its_rest_is_not_written(output):
    append(output, frame(b"ab") + frame(b"cde")[:-1])
    follower = LogFollower(output, stored_offset=0)
    assert everything(follower) == [(0, frame(b"ab"))]
    assert follower.has_more()
    append(output, b"e")
    assert everything(follower) == [(2, frame(b"cde"))]
    assert not follower.has_more()


def test_nothing_is_given_out_when_file_is_missing(tmp_path):
    follower = LogFollower(tmp_path / "none", stored_offset=0)
    assert follower.next_chunk() is None
    assert not follower.has_more()


def test_garbage_is_not_given_out_when_no_frame_begins_there(output):
    append(output, frame(b"ab") + b"\xff" * 100)
    assert everything(LogFollower(output, stored_offset=0)) == [(0, frame(b"ab"))]


def test_window_is_closed_when_too_much_is_not_stored(output, monkeypatch):
    monkeypatch.setattr(log_follower, "WINDOW_BYTES", 4)
    append(output, frame(b"abcd"))
    follower = LogFollower(output, stored_offset=0)
    follower.next_chunk()
    assert not follower.has_room
    assert not follower.stored(4)
    assert follower.has_room
    assert follower.is_stored


def test_one_chunk_is_a_question_when_stored_offset_is_unknown(output):
    append(output, frame(b"ab"))
    follower = LogFollower(output, stored_offset=None)
    assert follower.has_room
    follower.next_chunk()
    assert not follower.has_room
    assert not follower.is_stored


def test_server_is_ahead_when_it_stored_more_than_was_sent(output):
    append(output, frame(b"ab") + frame(b"cd") + frame(b"ef"))
    follower = LogFollower(output, stored_offset=None)
    assert follower.stored(4)
    follower.seek(4)
    assert everything(follower) == [(4, frame(b"ef"))]


def test_server_is_behind_when_it_lost_what_was_stored(output):
    append(output, frame(b"ab"))
    follower = LogFollower(output, stored_offset=0)
    follower.next_chunk()
    assert not follower.stored(2)
    append(output, frame(b"cd"))
    assert follower.stored(0)
    follower.seek(0)
    assert everything(follower) == [(0, frame(b"ab") + frame(b"cd"))]


def test_rewind_begins_at_a_stored_boundary_when_chunks_were_lost(output):
    follower = LogFollower(output, stored_offset=0)
    for payload in (b"ab", b"cd", b"ef"):
        append(output, frame(payload))
        follower.next_chunk()
    follower.stored(2)
    follower.rewind()
    assert everything(follower) == [(2, frame(b"cd") + frame(b"ef"))]


def test_rewind_repeats_the_frame_when_the_server_has_half_of_it(output):
    append(output, frame(b"abcd"))
    follower = LogFollower(output, stored_offset=0)
    follower.next_chunk()
    assert not follower.stored(2)
    follower.rewind()
    assert everything(follower) == [(0, frame(b"abcd"))]


def test_chunks_are_bounded_when_the_file_is_large(output):
    payload = b"x" * frames.MAX_PAYLOAD_BYTES
    append(output, frame(payload) * 20)
    chunks = everything(LogFollower(output, stored_offset=0))
    assert max(len(data) for _, data in chunks) <= log_follower.MAX_CHUNK_BYTES
    assert [offset for offset, _ in chunks] == sorted(offset for offset, _ in chunks)
    assert sum(frames.payload_length(data) for _, data in chunks) == 20 * len(payload)


def test_scan_stops_when_a_frame_would_pass_the_offset():
    data = frame(b"ab") + frame(b"cd")
    assert scan(data, max_offset=3) == Position(2, len(frame(b"ab")))
    assert scan(data) == Position(4, len(data))


def test_place_is_found_when_it_is_many_reads_away(output, monkeypatch):
    monkeypatch.setattr(log_follower, "MAX_CHUNK_BYTES", 64)
    append(output, frame(b"abcd") * 50)
    descriptor = os.open(output, os.O_RDONLY)
    assert locate(descriptor, START, 121) == Position(120, 30 * len(frame(b"abcd")))
    assert locate(descriptor, START, 10_000) == Position(200, 50 * len(frame(b"abcd")))
    os.close(descriptor)


def test_descriptor_is_closed_when_followed_no_more(output):
    append(output, frame(b"ab"))
    follower = LogFollower(output, stored_offset=0)
    follower.next_chunk()
    follower.close()
    follower.close()
    assert follower.has_more() is False
    follower.close()
