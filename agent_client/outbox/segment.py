"""One record of the outbox as bytes, and how far a segment's bytes can be trusted.

A record is a head (length, CRC-32, sequence, kind) and a payload. The checksum covers
everything behind it, so a torn or rotten record is never taken for a whole one. Reading
goes on at the next whole record: what is damaged costs no other. Pure.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

_HEAD = struct.Struct("!IIQB")
HEAD_BYTES = _HEAD.size
MAX_PAYLOAD_BYTES = 4 * 1024 * 1024
"""A longer length is damage; the largest honest payload is a snapshot of all probes."""


class Kind(IntEnum):
    """What a record is."""

    OPENING = 0
    """First of every segment: its stream, when it was made, and the caller's snapshot."""
    RESULT = 1
    GAP = 2
    """A result that stands for dropped ones."""
    GAP_END = 3
    """All gap records of a dropped segment are written; the payload is its number."""


class Record(NamedTuple):
    """One record; sequence 0 is for records that are not sent."""

    sequence: int
    payload: bytes
    kind: Kind = Kind.RESULT


class Found(NamedTuple):
    """A record and the offset of the byte behind it."""

    record: Record
    end: int


def encode(record: Record) -> bytes:
    """Return the record's bytes."""
    head = _HEAD.pack(len(record.payload), 0, record.sequence, record.kind)
    checksum = zlib.crc32(record.payload, zlib.crc32(head[8:], len(record.payload)))
    return _HEAD.pack(len(record.payload), checksum, record.sequence, record.kind) + record.payload


def decode(data: bytes, start: int = 0) -> Iterator[Found]:
    """Yield whole records from start on, and pass over bytes that cannot be trusted."""
    position = start
    while position + HEAD_BYTES <= len(data):
        found = _record_at(data, position)
        if found is None:
            position += 1
        else:
            yield found
            position = found.end


def _record_at(data: bytes, position: int) -> Found | None:
    """Return the record that begins at a byte, None when none does."""
    length, checksum, sequence, kind = _HEAD.unpack_from(data, position)
    end = position + HEAD_BYTES + length
    if length > MAX_PAYLOAD_BYTES or end > len(data) or kind not in _KINDS:
        return None
    payload = data[position + HEAD_BYTES : end]
    head = data[position + 8 : position + HEAD_BYTES]
    if zlib.crc32(payload, zlib.crc32(head, length)) != checksum:
        return None
    return Found(Record(sequence, payload, Kind(kind)), end)


_KINDS = frozenset(Kind)


def sendable(data: bytes, start: int = 0) -> Iterator[Found]:
    """Yield the records that go to the server, in order, each as trusted as decode's.

    Gap records count only as a whole group with its end: half a group was written by a
    process that died meanwhile, and the segment that it was to replace is still there.
    """
    group: list[Found] = []
    for found in decode(data, start):
        kind = found.record.kind
        if kind is Kind.GAP:
            group.append(found)
            continue
        if kind is Kind.GAP_END:
            yield from group
        elif kind is Kind.RESULT:
            yield found
        group = []


def segment_name(number: int) -> str:
    """Return the file name of a segment; names sort in the order of writing."""
    return f"{number:012d}.segment"


def segment_number(name: str) -> int | None:
    """Return the number in a segment's file name, None for another file."""
    stem, _, suffix = name.partition(".")
    return int(stem) if suffix == "segment" and stem.isdigit() else None
