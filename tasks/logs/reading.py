"""How logs are read: any range, merged or by stream, by anyone, while it is written.

Reads the files only and keeps nothing open, so every server process sees the same. What
the index does not name yet is not there: a reader never gets bytes that a crash could
take back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent_client.protocol import frames
from tasks.logs.index import START, Index, Piece

MAX_READ_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes of a log: where they begin and how long the whole is, in the same offsets."""

    offset: int
    data: bytes
    size: int


@dataclass(frozen=True, slots=True)
class FrameSlice:
    """Whole frames in wire format from a merged offset; `next` is the offset behind them."""

    offset: int
    data: bytes
    next: int
    size: int


class LogReader:
    """Reads one log, given the path of its files without suffix."""

    def __init__(self, stem: Path) -> None:
        """Keep the path; files that do not exist are an empty log."""
        self._stem = stem

    def size(self, stream: int | None = None) -> int:
        """Return the stored bytes of the merged log, or of one stream."""
        with self._opened() as (index, _log):
            return _end(index).after(stream)

    def read(self, offset: int, limit: int, *, stream: int | None = None) -> Slice:
        """Return at most limit bytes from an offset; empty past the end."""
        limit = min(limit, MAX_READ_BYTES)
        with self._opened() as (index, log):
            size = _end(index).after(stream)
            if index is None or offset >= size or limit <= 0:
                return Slice(offset, b"", size)
            if stream is None:
                return Slice(offset, os.pread(log, min(limit, size - offset), offset), size)
            parts = _stream_parts(index, log, stream, offset, limit)
            return Slice(offset, b"".join(parts), size)

    def tail(self, limit: int, *, stream: int | None = None) -> Slice:
        """Return the last bytes."""
        with self._opened() as (index, _log):
            size = _end(index).after(stream)
        return self.read(max(size - limit, 0), limit, stream=stream)

    def read_frames(self, offset: int, limit: int) -> FrameSlice:
        """Return frames with about limit payload bytes from a merged offset, cut to fit it."""
        with self._opened() as (index, log):
            size = _end(index).end
            if index is None or offset >= size:
                return FrameSlice(offset, b"", offset, size)
            data = os.pread(log, min(limit, size - offset), offset)
            encoded = []
            for start, piece in _overlapping(index, offset, offset + len(data)):
                payload = data[start - offset : piece.end - offset]
                encoded.append(frames.encode(piece.stream, piece.time_ms, payload))
            return FrameSlice(offset, b"".join(encoded), offset + len(data), size)

    def offset_at(self, time_ms: int) -> int:
        """Return the merged offset of the first piece written at or after a time."""
        with self._opened() as (index, _log):
            if index is None:
                return 0
            number = index.first(lambda piece: piece.time_ms >= time_ms)
            return index[number].offset if number < index.count else index.last.end

    @contextmanager
    def _opened(self) -> Iterator[tuple[Index | None, int]]:
        """Yield index and log, (None, -1) when there is no log yet."""
        try:
            index = os.open(self._stem.with_suffix(".idx"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            yield None, -1
            return
        try:
            log = os.open(self._stem.with_suffix(".log"), os.O_RDONLY | os.O_CLOEXEC)
            try:
                yield Index(index), log
            finally:
                os.close(log)
        finally:
            os.close(index)


def _end(index: Index | None) -> Piece:
    """Return the last piece of a log that may not exist."""
    return START if index is None else index.last


def _overlapping(index: Index, start: int, end: int) -> Iterator[tuple[int, Piece]]:
    """Yield (merged start within the range, piece) for the pieces that overlap it.

    The pieces are cut so that start + length stays within [start, end).
    """
    number = index.first(lambda piece: piece.end > start)
    for piece in index.pieces(number):
        if piece.offset >= end:
            return
        begin = max(piece.offset, start)
        length = min(piece.end, end) - begin
        yield begin, piece._replace(offset=begin, length=length)


def _stream_parts(index: Index, log: int, stream: int, offset: int, limit: int) -> Iterator[bytes]:
    """Yield the bytes of one stream from its own offset.

    A run of the other stream is jumped over by halving, however long it is.
    """
    while limit > 0:
        wanted = offset
        number = index.first(lambda piece, wanted=wanted: piece.after(stream) > wanted)  # type: ignore[misc]
        if number == index.count:
            return
        for piece in index.pieces(number):
            if piece.stream != stream:
                break
            skipped = offset - piece.before(stream)
            take = min(piece.length - skipped, limit)
            yield os.pread(log, take, piece.offset + skipped)
            offset, limit = offset + take, limit - take
            if limit <= 0:
                return
        else:
            return
