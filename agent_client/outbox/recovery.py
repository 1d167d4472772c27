"""Reads what an earlier process left in the outbox directory; decides, repairs nothing.

The last segment may end in a torn record (the process died while writing), which is
normal. Bytes that cannot be trusted anywhere else are damage: what stands around them is
still delivered, what stood there is counted as dropped, and the file is set aside.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from agent_client.outbox.damage import Content, count_missing
from agent_client.outbox.filesystem import FileSystem
from agent_client.outbox.segment import (
    HEAD_BYTES,
    Kind,
    decode,
    segment_name,
    segment_number,
    sendable,
)

CURSOR_NAME = "cursor"
SEQUENCE_SKIP = 2**32
"""Added at every start: records of a torn tail may have used any number below."""


class Opening(msgspec.Struct, frozen=True):
    """Payload of a segment's first record; created_at in UTC seconds."""

    stream: str
    created_at: float
    base: int
    """No record before this segment has a sequence above it."""
    snapshot: bytes = b""
    """What the caller needs to know of everything before this segment."""


class Cursor(msgspec.Struct, frozen=True):
    """How far the server has confirmed, and what was dropped so far."""

    stream: str
    segment: int
    offset: int
    sequence: int
    dropped: int = 0
    counted: tuple[int, ...] = ()
    """Damaged segments whose loss is in dropped already."""


@dataclass(slots=True)
class Segment:
    """One file of records, valid up to size."""

    number: int
    size: int
    created_at: float
    is_damaged: bool = False
    base: int | None = None
    """The opening's, None when the opening itself cannot be read."""


@dataclass(slots=True)
class Recovered:
    """What was found: segments oldest first, and where reading goes on."""

    stream: str
    segments: list[Segment]
    offset: int
    sequence: int
    next_sequence: int
    waiting: int = 0
    dropped: int = 0
    damaged: dict[int, int] = field(default_factory=dict)
    """Segments found damaged for the first time, and how many records are lost in each."""
    counted: tuple[int, ...] = ()
    """All damaged segments."""
    torn: Segment | None = None
    """The last segment, when bytes behind its valid size have to be cut off."""
    replaced: frozenset[int] = frozenset()
    """Segments whose gap records are complete: only their removal is missing."""
    snapshot: bytes = b""
    tail: list[bytes] = field(default_factory=list)
    """Payloads of the records behind the snapshot, oldest first."""


def recover(files: FileSystem) -> Recovered:
    """Read the directory; raises OSError when it cannot be read."""
    cursor = _read_cursor(files)
    numbers = sorted(n for n in map(segment_number, files.names()) if n is not None)
    found = Recovered(
        stream=cursor.stream or secrets.token_hex(8),
        segments=[],
        offset=0,
        sequence=cursor.sequence,
        next_sequence=cursor.sequence,
        dropped=cursor.dropped,
    )
    contents = {number: files.read(segment_name(number)) for number in numbers}
    found.replaced = _replaced(contents.values())
    for number, data in contents.items():
        _add_segment(found, number, data, is_last=number == numbers[-1])
    _leave_out_repeats(found.segments, contents)
    _set_position(found, cursor, contents)
    _count_losses(found, cursor, contents)
    found.next_sequence += SEQUENCE_SKIP if (numbers or cursor.stream) else 1
    return found


def _add_segment(found: Recovered, number: int, data: bytes, *, is_last: bool) -> None:
    """Take one segment in: its valid size, and what its records say."""
    # Without its opening a segment is taken to be as old as the one before it.
    segment = Segment(number, 0, found.segments[-1].created_at if found.segments else 0.0)
    trusted = 0
    for record, end in decode(data):
        segment.size = end
        trusted += HEAD_BYTES + len(record.payload)
        found.next_sequence = max(found.next_sequence, record.sequence)
        if record.kind is Kind.OPENING:
            opening = msgspec.msgpack.decode(record.payload, type=Opening)
            segment.created_at, segment.base = opening.created_at, opening.base
            found.next_sequence = max(found.next_sequence, opening.base)
            found.snapshot, found.tail = opening.snapshot, []
            found.stream = opening.stream
    found.tail += [record.payload for record, _ in sendable(data) if record.kind is Kind.RESULT]
    segment.is_damaged = trusted < (segment.size if is_last else len(data))
    if is_last and segment.size < len(data):
        found.torn = segment
    found.segments.append(segment)


def _count_losses(found: Recovered, cursor: Cursor, contents: dict[int, bytes]) -> None:
    """Count what is lost in damaged segments, each of them once in its life."""
    rest = [one for one in found.segments if one.number not in found.replaced]
    if found.torn is not None:
        contents = {**contents, found.torn.number: contents[found.torn.number][: found.torn.size]}
    segments = [Content(contents[one.number], one.base) for one in rest]
    counts = count_missing(segments, confirmed=cursor.sequence)
    damaged = {one.number: n for one, n in zip(rest, counts, strict=True) if one.is_damaged}
    found.damaged = {number: n for number, n in damaged.items() if number not in cursor.counted}
    found.counted = tuple(damaged)
    found.dropped += sum(found.damaged.values())


def _leave_out_repeats(segments: list[Segment], contents: dict[int, bytes]) -> None:
    """End a segment before the records that its successor has too.

    They are of a batch whose fsync failed: it was written again to a new segment.
    """
    following: int | None = None
    for segment in reversed(segments):
        first: int | None = None
        kept = 0
        for record, end in sendable(contents[segment.number][: segment.size]):
            if following is not None and record.sequence >= following:
                break
            first = record.sequence if first is None else first
            kept = end
        else:
            kept = segment.size
        segment.size = kept
        following = first if first is not None else following


def _set_position(found: Recovered, cursor: Cursor, contents: dict[int, bytes]) -> None:
    """Place reading where the cursor stands and count what waits behind it."""
    # Older segments were confirmed as a whole; only their removal is missing.
    confirmed = {s.number for s in found.segments if s.number < cursor.segment}
    found.replaced |= confirmed
    rest = [s for s in found.segments if s.number not in found.replaced]
    if rest and rest[0].number == cursor.segment:
        found.offset = min(cursor.offset, rest[0].size)
    last = found.sequence
    for index, segment in enumerate(rest):
        start = found.offset if index == 0 else 0
        for record, _ in sendable(contents[segment.number][: segment.size], start):
            if record.sequence > last:
                last = record.sequence
                found.waiting += 1


def _replaced(contents: Iterable[bytes]) -> frozenset[int]:
    """Return the segments that complete groups of gap records stand for."""
    return frozenset(
        int(record.payload)
        for data in contents
        for record, _ in decode(data)
        if record.kind is Kind.GAP_END
    )


def _read_cursor(files: FileSystem) -> Cursor:
    """Return the stored cursor, or one at the very beginning.

    A lost cursor costs no result: everything is sent again and the server knows it.
    """
    if CURSOR_NAME in files.names():
        try:
            return msgspec.json.decode(files.read(CURSOR_NAME), type=Cursor)
        except msgspec.MsgspecError:
            pass
    return Cursor(stream="", segment=0, offset=0, sequence=0)
