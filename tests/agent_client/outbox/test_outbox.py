"""The outbox: order, acknowledgement, bounds, damage, and what a restart finds."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from agent_client.outbox.filesystem import LocalFileSystem
from agent_client.outbox.outbox import Bounds, Outbox
from agent_client.outbox.segment import Record
from tests.agent_client.outbox.faulty import FaultyFileSystem

SMALL = Bounds(segment_bytes=200)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def joined(payloads, take):
    return [(take(), b"+".join(payloads))] if payloads else []


def opened(files, bounds: Bounds | None = None, **more) -> Outbox:
    return Outbox(files, summarise=joined, bounds=bounds or Bounds(), **more)


def put(outbox: Outbox, *payloads: bytes) -> None:
    outbox.commit([Record(outbox.take_sequence(), payload) for payload in payloads])


def taken(outbox: Outbox, limit: int = 100) -> list[bytes]:
    found = []
    while batch := outbox.peek(limit):
        found += [record.payload for record in batch.records]
        outbox.acknowledge(batch)
    return found


@pytest.fixture
def files() -> FaultyFileSystem:
    return FaultyFileSystem()


def test_records_come_in_order_when_they_span_segments(files):
    outbox = opened(files, SMALL)
    for number in range(20):
        put(outbox, b"%d" % number, b"and")
    assert taken(outbox, 7)[::2] == [b"%d" % number for number in range(20)]
    assert outbox.waiting == 0


def test_same_batch_comes_again_when_it_was_not_acknowledged(files):
    outbox = opened(files)
    put(outbox, b"a", b"b")
    assert outbox.peek(1) == outbox.peek(1)


def test_acknowledged_records_stay_away_when_the_process_restarts(files):
    outbox = opened(files)
    put(outbox, b"a", b"b")
    outbox.acknowledge(outbox.peek(1))
    assert taken(opened(files)) == [b"b"]


def test_only_one_file_stays_when_everything_is_acknowledged(files):
    outbox = opened(files, SMALL)
    for _ in range(20):
        put(outbox, b"x" * 50)
    taken(outbox)
    assert sum(name.endswith(".segment") for name in files.names()) == 1


def test_sequences_never_recur_when_the_tail_was_torn(files):
    outbox = opened(files)
    put(outbox, b"a")
    used = [outbox.take_sequence() for _ in range(10)]
    files.cut_power()
    again = opened(files)
    assert again.stream == outbox.stream
    assert again.take_sequence() > max(used)


def test_new_stream_begins_when_the_directory_was_emptied(files):
    assert opened(files).stream != opened(FaultyFileSystem()).stream


def test_oldest_are_dropped_and_counted_when_there_is_too_much(files):
    outbox = opened(files, Bounds(max_bytes=600, segment_bytes=200))
    for number in range(40):
        put(outbox, b"%d" % number)
    names = [name for payload in taken(outbox) for name in payload.split(b"+")]
    assert sorted(map(int, names)) == list(range(40))
    assert outbox.dropped > 10


@pytest.mark.parametrize(
    "bounds", [Bounds(max_bytes=2000, segment_bytes=200), Bounds(segment_bytes=200, max_records=50)]
)
def test_fill_rises_to_the_bound_that_is_nearer_and_falls_when_sent(files, bounds):
    outbox = opened(files, bounds)
    put(outbox, b"x")
    fills = [outbox.fill]
    for _ in range(60):
        put(outbox, b"x" * 20)
        fills.append(outbox.fill)
    assert 0 < fills[0] < 0.2
    assert fills[:10] == sorted(fills[:10])
    assert 0.8 < max(fills) <= 1
    assert outbox.size_bytes > 60
    taken(outbox)
    assert outbox.fill < 0.3


def test_oldest_are_dropped_when_they_are_too_old(files):
    clock = Clock()
    bounds = Bounds(max_age_seconds=100, segment_seconds=10)
    outbox = opened(files, bounds, clock=clock)
    put(outbox, b"old")
    clock.now += 50
    put(outbox, b"young")
    clock.now += 101
    put(outbox, b"new")
    assert outbox.dropped == 1


def test_batch_under_way_is_not_counted_as_dropped_when_space_is_needed(files):
    outbox = opened(files, Bounds(max_bytes=400, segment_bytes=100))
    put(outbox, b"first")
    batch = outbox.peek(10)
    for number in range(30):
        put(outbox, b"%d" % number)
    outbox.acknowledge(batch)
    assert all(b"first" not in payload for payload in taken(outbox))


def test_no_record_is_doubled_when_a_failed_batch_reached_the_disk_after_all():
    files = FaultyFileSystem(torn_bytes=10_000)
    outbox = opened(files)
    put(outbox, b"a")
    files.error, files.fail_at = OSError(errno.EIO, "x"), files.calls + 4
    put(outbox, b"b")
    assert "fsync" in files.log[-8:]
    files.cut_power()
    again = opened(files, Bounds(max_bytes=1, segment_bytes=1))
    put(again, b"c")
    put(again, b"d")
    names = [name for payload in taken(again) for name in payload.split(b"+")]
    assert sorted(names) == [b"a", b"b", b"c", b"d"]


def test_damaged_segment_is_set_aside_when_the_stream_goes_on(files):
    outbox = opened(files, SMALL)
    for number in range(12):
        put(outbox, b"%02d" % number * 10)
    files.damage("000000000001.segment", 150)
    again = opened(files, SMALL)
    assert again.damaged == 1
    left = taken(again)
    assert left[0] == b"00" * 10
    assert left[-1] == b"11" * 10
    assert "000000000001.damaged" in files.names()


def test_everything_comes_again_when_the_cursor_is_lost(files):
    outbox = opened(files)
    put(outbox, b"a", b"b")
    outbox.acknowledge(outbox.peek(1))
    files.unlink("cursor")
    assert taken(opened(files)) == [b"a", b"b"]


def test_snapshot_and_what_followed_come_back_when_the_process_restarts(files):
    said = [b"first"]
    outbox = opened(files, SMALL, snapshot=lambda: said[0])
    for number in range(6):
        said[0] = b"%d" % number
        put(outbox, b"r%d" % number * 10)
    again = opened(files, SMALL)
    tail = [b"r%d" % number * 10 for number in range(int(again.recovered_snapshot), 6)]
    assert again.recovered_tail == tail


def test_commit_raises_and_may_be_repeated_when_the_disk_is_full(files, monkeypatch):
    outbox = opened(files)
    put(outbox, b"a")
    record = Record(outbox.take_sequence(), b"b")
    with monkeypatch.context() as patch:
        patch.setattr(files, "fsync", _full)
        with pytest.raises(OSError, match="no space"):
            outbox.commit([record])
    outbox.commit([record])
    assert taken(outbox) == [b"a", b"b"]


def _full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, "no space")


def test_records_survive_on_a_real_disk_when_reopened(tmp_path: Path):
    files = LocalFileSystem(tmp_path / "outbox")
    outbox = opened(files, SMALL)
    for number in range(30):
        put(outbox, b"%d" % number)
    batch = outbox.peek(5)
    outbox.acknowledge(batch)
    outbox.close()
    assert taken(opened(files, SMALL)) == [b"%d" % number for number in range(5, 30)]
    assert (tmp_path / "outbox").stat().st_mode & 0o777 == 0o700
