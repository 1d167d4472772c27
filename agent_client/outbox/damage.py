"""How many records stood where bytes cannot be read; pure.

Numbers are given one after the other, so what is missing between two records that can be
read is known exactly. Only at a start numbers are left out: there the bytes say how many
records it was, by the size of the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from agent_client.outbox.segment import HEAD_BYTES, decode


class Content(NamedTuple):
    """One segment: its valid bytes, and the first number after its opening, if that is known."""

    data: bytes
    base: int | None


class Hole(NamedTuple):
    """Bytes that cannot be read, and the numbers of the records around them."""

    start: int
    size: int
    before: int | None
    behind: int | None


def holes(data: bytes) -> Iterator[Hole]:
    """Yield what cannot be read in a segment's bytes, in order."""
    position, before = 0, None
    hole: tuple[int, int] | None = None
    for record, end in decode(data):
        start = end - HEAD_BYTES - len(record.payload)
        if start > position and hole is None:
            hole = position, start - position
        position = end
        if record.sequence:
            if hole:
                yield Hole(*hole, before, record.sequence)
            hole, before = None, record.sequence
    if hole is None and position < len(data):
        hole = position, len(data) - position
    if hole:
        yield Hole(*hole, before, None)


def count_missing(segments: Sequence[Content], *, confirmed: int) -> list[int]:
    """Return for each segment how many records of it are lost; confirmed ones do not count.

    confirmed is the number up to which the server has everything.
    """
    starts = [_start_of(segment) for segment in segments]
    known, counts = confirmed, []
    for index, segment in enumerate(segments):
        following = next((start for start in starts[index + 1 :] if start is not None), None)
        count = 0
        for hole in holes(segment.data):
            upper = following if hole.behind is None else hole.behind
            lower = max(known, hole.before or 0)
            count += _between(lower, upper, hole, segment.data)
            known = max(lower, (upper or 0) - 1)
        counts.append(count)
        known = max([known, *_numbers(segment.data)])
    return counts


def _between(lower: int, upper: int | None, hole: Hole, data: bytes) -> int:
    """Return how many numbers lie between, or how many records fill the bytes."""
    if upper is not None and upper - lower - 1 <= hole.size // HEAD_BYTES:
        return max(0, upper - lower - 1)
    if hole.start == 0:
        return 0  # the opening, which is no record of the caller's
    sizes = [HEAD_BYTES + len(one.record.payload) for one in decode(data) if one.record.sequence]
    mean = sum(sizes) / len(sizes) if sizes else hole.size
    return max(1, round(hole.size / mean))


def _start_of(segment: Content) -> int | None:
    """Return the first number that a segment may have."""
    first = next(iter(_numbers(segment.data)), None)
    known = [number for number in (first, segment.base) if number is not None]
    return min(known) if known else None


def _numbers(data: bytes) -> list[int]:
    """Return the numbers of a segment's records that go to the server."""
    return [one.record.sequence for one in decode(data) if one.record.sequence]
