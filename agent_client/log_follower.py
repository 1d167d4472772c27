"""One task's frame file and how far it has travelled: read, sent, stored.

Offsets count payload bytes, positions in the file count frames and headers too; a
follower keeps both together. It gives out whole frames only, bounds what is in the air,
and can go back to whatever offset the server has really stored. It reads the file of a
living writer and never writes it. No clock, no network, no loop.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import NamedTuple

from agent_client.protocol.frames import HEADER, MAX_PAYLOAD_BYTES, STREAM_NAMES

MAX_CHUNK_BYTES = 512 * 1024
WINDOW_BYTES = 4 * 1024 * 1024
"""Payload that may be sent and not yet stored, per task."""


class Position(NamedTuple):
    """The same place twice: payload bytes before it, and bytes of the file."""

    offset: int
    file_bytes: int


START = Position(0, 0)


class LogFollower:
    """Follows one frame file; `stored_offset` is None until the server said something."""

    def __init__(
        self, path: Path, *, stored_offset: int | None, max_frames: int | None = None
    ) -> None:
        """Follow path; stored_offset 0 says that the server has nothing of it.

        max_frames is how many frames one chunk may carry, None for what its bytes allow.
        """
        self.path = path
        self._max_frames = max_frames
        self.stored_offset = stored_offset
        self._descriptor: int | None = None
        self._sent = START
        self._stored = START
        self._ends: deque[Position] = deque()

    @property
    def sent_offset(self) -> int:
        """Return how many payload bytes were given out."""
        return self._sent.offset

    @property
    def has_room(self) -> bool:
        """Return whether more may be sent: one chunk while the server's offset is unknown."""
        if self.stored_offset is None:
            return not self._ends
        return self._sent.offset - self.stored_offset < WINDOW_BYTES

    @property
    def is_stored(self) -> bool:
        """Return whether the server has everything that was given out."""
        return self.stored_offset is not None and self.stored_offset >= self._sent.offset

    def has_more(self) -> bool:
        """Return whether the file has grown beyond what was given out."""
        descriptor = self._open()
        return descriptor is not None and os.fstat(descriptor).st_size > self._sent.file_bytes

    def next_chunk(self) -> tuple[int, bytes] | None:
        """Return the offset and the bytes of the next whole frames, None when there are none."""
        descriptor = self._open()
        if descriptor is None:
            return None
        data = os.pread(descriptor, MAX_CHUNK_BYTES, self._sent.file_bytes)
        found = scan(data, max_frames=self._max_frames)
        if not found.file_bytes:
            return None
        offset = self._sent.offset
        self._sent = Position(offset + found.offset, self._sent.file_bytes + found.file_bytes)
        self._ends.append(self._sent)
        return offset, data if len(data) == found.file_bytes else data[: found.file_bytes]

    def stored(self, offset: int) -> bool:
        """Note what the server has; return whether it is elsewhere than what was sent.

        Then `seek` has to be called: the server knows more than this process (after a
        restart) or less (after a restore).
        """
        self.stored_offset = offset
        while self._ends and self._ends[0].offset <= offset:
            self._stored = self._ends.popleft()
        return offset > self._sent.offset or offset < self._stored.offset

    def rewind(self) -> None:
        """Send again from the last frame boundary that the server has."""
        self._sent = self._stored
        self._ends.clear()

    def seek(self, offset: int) -> None:
        """Go on from the last frame boundary at or before offset; reads the file up to there."""
        descriptor = self._open()
        start = self._stored if self._stored.offset <= offset else START
        if descriptor is not None:
            self._stored = self._sent = locate(descriptor, start, offset)
            self._ends.clear()

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int | None:
        """Return the file's descriptor; None while the file is not there yet."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
        return self._descriptor


def scan(data: bytes, *, max_offset: int | None = None, max_frames: int | None = None) -> Position:
    """Return the payload and the bytes of the leading whole frames of data.

    Stops after max_frames, before a frame that would pass max_offset of payload, and
    before anything that is no frame: a torn tail is not sent.
    """
    position, payload, end = 0, 0, len(data)
    left = -1 if max_frames is None else max_frames  # -1 never gets to 0
    unpack, header_bytes = HEADER.unpack_from, HEADER.size
    while left and position + header_bytes <= end:
        left -= 1
        stream, _, length = unpack(data, position)
        behind = position + header_bytes + length
        if behind > end or length > MAX_PAYLOAD_BYTES or stream not in STREAM_NAMES:
            break
        if max_offset is not None and payload + length > max_offset:
            break
        position, payload = behind, payload + length
    return Position(payload, position)


def locate(descriptor: int, start: Position, offset: int) -> Position:
    """Return the last frame boundary at or before a payload offset, searching from start."""
    here = start
    while here.offset < offset:
        data = os.pread(descriptor, MAX_CHUNK_BYTES, here.file_bytes)
        step = scan(data, max_offset=offset - here.offset)
        if not step.file_bytes:
            break
        here = Position(here.offset + step.offset, here.file_bytes + step.file_bytes)
    return here
