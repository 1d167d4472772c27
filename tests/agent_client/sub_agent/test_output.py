"""The output file holds whole frames, counts exactly and never fails the script."""

from __future__ import annotations

import os

import pytest

from agent_client.protocol import frames
from agent_client.sub_agent.output import OutputFile, drain


@pytest.fixture
def path(tmp_path):
    """Return where the output goes."""
    return str(tmp_path / "output")


def payloads(path):
    """Return stream and payload of every frame in the file."""
    with open(path, "rb") as file:
        return [(frame.stream, frame.payload) for frame in frames.decode(file.read())]


def test_payloads_are_kept_in_order(path):
    output = OutputFile(path)
    output.append(frames.STDOUT, b"one")
    output.append(frames.STDERR, b"two")
    assert payloads(path) == [(1, b"one"), (2, b"two")]
    assert output.written_bytes == 6


@pytest.mark.parametrize(
    ("limit", "written", "cut"), [(0, 0, 10), (4, 4, 6), (5, 5, 5), (10, 10, 0), (None, 10, 0)]
)
def test_limit_cuts_exactly(path, limit, written, cut):
    output = OutputFile(path, limit_bytes=limit)
    output.append(frames.STDOUT, b"01234")
    output.append(frames.STDOUT, b"56789")
    assert (output.written_bytes, output.cut_bytes) == (written, cut)
    assert b"".join(payload for _, payload in payloads(path)) == b"0123456789"[:written]


def test_torn_frame_is_dropped_when_the_file_is_taken_over(path):
    with open(path, "wb") as file:
        file.write(frames.encode(1, 5, b"whole") + frames.encode(1, 6, b"torn")[:-1])
    output = OutputFile(path)
    output.append(frames.STDOUT, b"next")
    assert payloads(path) == [(1, b"whole"), (1, b"next")]
    assert output.written_bytes == 9


def test_disk_full_cuts_the_log_and_counts(path, monkeypatch):
    output = OutputFile(path)
    output.append(frames.STDOUT, b"kept")
    monkeypatch.setattr(os, "writev", lambda *_: os.write(99_999, b""))
    output.append(frames.STDOUT, b"lost")
    monkeypatch.undo()
    output.append(frames.STDOUT, b"late")
    assert payloads(path) == [(1, b"kept")]
    assert (output.written_bytes, output.cut_bytes) == (4, 8)
    assert output.failure.startswith("output is cut")


def test_short_write_is_completed(path, monkeypatch):
    monkeypatch.setattr(os, "writev", lambda fd, parts: os.write(fd, parts[0][:7]))
    OutputFile(path).append(frames.STDOUT, b"payload")
    assert payloads(path) == [(1, b"payload")]


def test_frame_is_removed_when_only_half_of_it_could_be_written(path, monkeypatch):
    output = OutputFile(path)
    real_write = os.write

    def half_then_full(fd, parts):
        real_write(fd, parts[0])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "writev", half_then_full)
    output.append(frames.STDOUT, b"lost")
    assert payloads(path) == []


def test_drain_stops_at_the_end_of_a_pipe(path):
    read_end, write_end = os.pipe()
    os.write(write_end, b"rest")
    os.close(write_end)
    output = OutputFile(path)
    assert drain(read_end, frames.STDERR, output, max_bytes=1_000_000)
    assert payloads(path) == [(2, b"rest")]


def test_drain_does_not_wait_when_somebody_keeps_the_pipe_open(path):
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.write(write_end, b"now")
    assert not drain(read_end, frames.STDOUT, OutputFile(path), max_bytes=1_000_000)
    os.close(write_end)
    assert payloads(path) == [(1, b"now")]
