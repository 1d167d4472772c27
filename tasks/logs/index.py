"""The index beside a log: one fixed record per piece, so that any offset is found by halving.

A record says where a piece begins in the merged log, how much of what came before was
stderr, when it was written, its length and its stream. Both streams' own offsets follow
from that, so reading one stream from the middle of a large log costs a few reads.
Records are appended after the payload is durable: the index is the end of the log.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple

from agent_client.protocol.frames import STDERR, STDOUT

_RECORD = struct.Struct("!QQQIB")
RECORD_BYTES = _RECORD.size
_READ_AHEAD = 512


class Piece(NamedTuple):
    """One piece of a log: `offset` in the merged log, `stderr_before` bytes of stderr ahead."""

    offset: int
    stderr_before: int
    time_ms: int
    length: int
    stream: int

    @property
    def end(self) -> int:
        """Return the merged offset behind the piece."""
        return self.offset + self.length

    @property
    def stderr_after(self) -> int:
        """Return the bytes of stderr up to the end of the piece."""
        return self.stderr_before + (self.length if self.stream == STDERR else 0)

    def before(self, stream: int | None) -> int:
        """Return where the piece begins in a stream's own offsets, or in the merged log."""
        if stream is None:
            return self.offset
        return self.stderr_before if stream == STDERR else self.offset - self.stderr_before

    def after(self, stream: int | None) -> int:
        """Return the stream's own offset behind the piece."""
        if stream is None:
            return self.end
        return self.stderr_after if stream == STDERR else self.end - self.stderr_after


START = Piece(0, 0, 0, 0, STDOUT)
"""What stands before the first piece: an empty log."""


def pack(pieces: list[Piece]) -> bytes:
    """Return the records of the pieces."""
    return b"".join(_RECORD.pack(*piece) for piece in pieces)


class Index:
    """A log's index, read through an open file; counts only whole records."""

    def __init__(self, descriptor: int, size_bytes: int | None = None) -> None:
        """Look at the index as long as it is now."""
        self._descriptor = descriptor
        size = os.fstat(descriptor).st_size if size_bytes is None else size_bytes
        self.count = size // RECORD_BYTES

    def __getitem__(self, number: int) -> Piece:
        """Return one piece; raises IndexError outside of the log."""
        if not 0 <= number < self.count:
            raise IndexError(number)
        data = os.pread(self._descriptor, RECORD_BYTES, number * RECORD_BYTES)
        return Piece._make(_RECORD.unpack(data))

    @property
    def last(self) -> Piece:
        """Return the last piece, START for an empty log."""
        return self[self.count - 1] if self.count else START

    def first(self, reached: Callable[[Piece], bool]) -> int:
        """Return the number of the first piece for which reached holds, else count.

        `reached` must be false up to some piece and true from there on.
        """
        low, high = 0, self.count
        while low < high:
            middle = (low + high) // 2
            if reached(self[middle]):
                high = middle
            else:
                low = middle + 1
        return low

    def pieces(self, number: int) -> Iterator[Piece]:
        """Yield the pieces from a number on, read in blocks."""
        while number < self.count:
            take = min(_READ_AHEAD, self.count - number)
            data = os.pread(self._descriptor, take * RECORD_BYTES, number * RECORD_BYTES)
            for fields in _RECORD.iter_unpack(data):
                yield Piece._make(fields)
            number += take
