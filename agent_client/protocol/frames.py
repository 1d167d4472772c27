"""Log frames: how a task's output is written on the agent, shipped, and sent to browsers.

A frame is a 13-byte header (stream, time, length) and the payload as the script wrote
it. The order of frames is the merged log; offsets count payload bytes only, so the same
offset means the same byte on the agent, the server and in the browser. Standard library
only: the sub-agent imports this module.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

HEADER = struct.Struct("!BQI")
"""Stream (1 byte), wall time in ms since the epoch (8), payload length in bytes (4)."""

STDOUT = 1
STDERR = 2
STREAM_NAMES = {STDOUT: "stdout", STDERR: "stderr"}
STREAM_IDS = {name: number for number, name in STREAM_NAMES.items()}
MAX_PAYLOAD_BYTES = 64 * 1024
"""One read of a pipe; 64 KiB is the fastest size measured, 1 MiB is slower."""


class FrameError(ValueError):
    """The bytes are not a sequence of whole frames."""


class Frame(NamedTuple):
    """One piece of output: stream id, wall time in ms, payload bytes."""

    stream: int
    time_ms: int
    payload: bytes


def encode(stream: int, time_ms: int, payload: bytes) -> bytes:
    """Return the frame's bytes; the payload must not be longer than MAX_PAYLOAD_BYTES."""
    return HEADER.pack(stream, time_ms, len(payload)) + payload


def decode(data: bytes) -> Iterator[Frame]:
    """Yield the frames of data, which must hold whole frames.

    Raises FrameError for an unknown stream, a length over the limit or a cut frame.
    """
    position, end = 0, len(data)
    while position < end:
        frame, position = _frame_at(data, position)
        yield frame


def _frame_at(data: bytes, position: int) -> tuple[Frame, int]:
    """Return the frame at position and the position behind it."""
    start = position + HEADER.size
    if start > len(data):
        raise FrameError("frame header is cut")
    stream, time_ms, length = HEADER.unpack_from(data, position)
    if stream not in STREAM_NAMES:
        raise FrameError(f"unknown stream {stream}")
    if length > MAX_PAYLOAD_BYTES:
        raise FrameError(f"frame of {length} bytes exceeds {MAX_PAYLOAD_BYTES}")
    if start + length > len(data):
        raise FrameError("frame payload is cut")
    return Frame(stream, time_ms, data[start : start + length]), start + length


def whole_length(data: bytes) -> int:
    """Return how many leading bytes of data are whole frames; the rest is still arriving."""
    position, end = 0, len(data)
    while position + HEADER.size <= end:
        behind = position + HEADER.size + HEADER.unpack_from(data, position)[2]
        if behind > end:
            break
        position = behind
    return position


def payload_length(data: bytes) -> int:
    """Return the number of payload bytes in whole frames, without copying them."""
    position, total = 0, 0
    while position < len(data):
        length = HEADER.unpack_from(data, position)[2]
        total += length
        position += HEADER.size + length
    return total
