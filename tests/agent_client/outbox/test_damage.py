"""A rotten byte costs the record it is in, and that one is counted (R23)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from agent_client.outbox.damage import Content, Hole, count_missing, holes
from agent_client.outbox.outbox import Bounds, Outbox
from agent_client.outbox.segment import Record, decode, encode
from tests.agent_client.outbox.faulty import FaultyFileSystem

SMALL = Bounds(segment_bytes=250)
TOTAL = 24


def opened(files: FaultyFileSystem) -> Outbox:
    return Outbox(files, summarise=lambda payloads, take: [], bounds=SMALL, clock=lambda: 0.0)


def filled() -> tuple[FaultyFileSystem, list[str]]:
    """Return a directory with several full segments, and their names."""
    files = FaultyFileSystem()
    outbox = opened(files)
    for number in range(TOTAL):
        outbox.commit([Record(outbox.take_sequence(), b"r%02d" % number * 5)])
    return files, sorted(name for name in files.names() if name.endswith(".segment"))


def delivered(outbox: Outbox) -> list[bytes]:
    found: list[bytes] = []
    while batch := outbox.peek(100):
        found += [record.payload for record in batch.records]
        outbox.acknowledge(batch)
    return found


def test_each_rotten_byte_costs_one_record_at_most_and_is_counted():
    _, names = filled()
    assert len(names) > 3
    for name in names[:-1]:
        for offset in range(len(filled()[0].read(name))):
            files, _ = filled()
            files.damage(name, offset)
            outbox = opened(files)
            lost = TOTAL - len(delivered(outbox))
            assert lost <= 1, (name, offset)
            assert outbox.dropped == lost, (name, offset)


def test_rotten_byte_in_the_segment_in_use_costs_nothing_behind_it():
    files, names = filled()
    data = files.read(names[-1])
    ends = [found.end for found in decode(data)]
    assert len(ends) > 3
    files.damage(names[-1], ends[1] - 1)
    outbox = opened(files)
    assert len(delivered(outbox)) == TOTAL - 1
    assert outbox.dropped == 1


def test_loss_is_counted_once_however_often_the_agent_starts():
    files, names = filled()
    files.damage(names[1], 120)
    counts = [opened(files).dropped for _ in range(3)]
    assert counts == [1, 1, 1]


def test_rotten_byte_in_what_the_server_has_is_no_loss():
    files, names = filled()
    outbox = opened(files)
    batch = outbox.peek(2)
    assert batch is not None
    outbox.acknowledge(batch)
    outbox.close()
    end = list(decode(files.read(names[0])))[1].end
    files.damage(names[0], end - 1)
    again = opened(files)
    assert again.dropped == 0
    assert len(delivered(again)) == TOTAL - 2


def test_segment_without_a_whole_byte_is_counted_by_its_neighbours():
    files, names = filled()
    kept = len(filled()[0].read(names[1]))
    for offset in range(kept):
        files.damage(names[1], offset)
    outbox = opened(files)
    assert len(delivered(outbox)) + outbox.dropped == TOTAL


def segment(*numbers: int, rotten: Sequence[int] = ()) -> bytes:
    """Return the bytes of records, some of them unreadable."""
    pieces = []
    for number in numbers:
        data = bytearray(encode(Record(number, b"x" * 20)))
        if number in rotten:
            data[-1] ^= 1
        pieces.append(bytes(data))
    return b"".join(pieces)


def test_hole_knows_its_neighbours():
    size = len(segment(1))
    assert list(holes(segment(1, 2, 3, rotten=[2]))) == [Hole(size, size, 1, 3)]
    assert list(holes(segment(1, 2, rotten=[2]))) == [Hole(size, size, 1, None)]
    assert list(holes(segment(1, 2))) == []


@pytest.mark.parametrize(
    ("first", "rotten", "base", "lost"),
    [
        ((1, 2, 3, 4), (2, 3), 5, 2),  # between two that are readable
        ((1, 2, 3, 4), (3, 4), 5, 2),  # up to the next segment's first
        ((1, 2, 3, 4), (3, 4), 2**32, 2),  # numbers were left out at a start: by size
        ((1, 2, 3, 4), (), 2**32, 0),
    ],
)
def test_missing_numbers_are_counted(first, rotten, base, lost):
    segments = [Content(segment(*first, rotten=rotten), 1), Content(segment(base), base)]
    assert count_missing(segments, confirmed=0) == [lost, 0]


def test_hole_over_a_border_is_counted_once():
    segments = [
        Content(segment(1, 2, 3, rotten=[3]), 1),
        Content(segment(4, 5, 6, rotten=[4]), 7),
    ]
    assert sum(count_missing(segments, confirmed=0)) == 2
