"""From findings to the outbox: batches, refusing disks, watermarks, gaps."""

from __future__ import annotations

import errno

import msgspec
import pytest

from agent_client.outbox.outbox import Outbox
from agent_client.outbox.segment import Record
from agent_client.probing import results
from agent_client.probing.plan import Missed
from agent_client.probing.results import (
    ResultWriter,
    Watermarks,
    gaps_of,
    result_of_span,
    summarise,
)
from agent_client.protocol.probes import ProbeResult
from tests.agent_client.outbox.faulty import FaultyFileSystem
from tests.agent_client.probing.probes import task


def up(task_id: int = 1, at: float = 100.0, **more) -> ProbeResult:
    return ProbeResult(task_id=task_id, tenant_id="t", seq=0, outcome="up", started_at=at, **more)


def opened(files: FaultyFileSystem) -> Outbox:
    return Outbox(files, summarise=lambda payloads, take: [])


def stored(outbox: Outbox) -> list[ProbeResult]:
    batch = outbox.peek(1_000_000)
    return [msgspec.json.decode(r.payload, type=ProbeResult) for r in batch.records]


@pytest.fixture
def files() -> FaultyFileSystem:
    return FaultyFileSystem()


def write(outbox: Outbox, *found: ProbeResult) -> tuple[ResultWriter, Watermarks]:
    marks = Watermarks()
    writer = ResultWriter(outbox, marks)
    writer.start()
    for result in found:
        writer.put(result)
    writer.close()
    return writer, marks


def test_results_are_stored_with_stream_and_sequence(files):
    outbox = opened(files)
    write(outbox, up(1), up(2))
    found = stored(outbox)
    assert [one.task_id for one in found] == [1, 2]
    assert {one.stream for one in found} == {outbox.stream}
    assert found[0].seq < found[1].seq


def test_many_results_share_one_fsync(files):
    write(opened(files), *(up(n) for n in range(400)))
    assert files.log.count("fsync") <= 3  # the opening, the batch, at most one more


def test_refused_results_keep_their_sequence_when_the_disk_comes_back(files, monkeypatch):
    monkeypatch.setattr(results, "RETRY_SECONDS", 0.01)
    outbox = opened(files)
    tried: list[list[int]] = []
    commit = outbox.commit

    def refuse_once(records: list[Record]) -> None:
        tried.append([record.sequence for record in records])
        if len(tried) == 1:
            raise OSError(errno.ENOSPC, "no space")
        commit(records)

    monkeypatch.setattr(outbox, "commit", refuse_once)
    writer = ResultWriter(outbox, Watermarks())
    writer.start()
    writer.put(up(1))
    while len(tried) < 2:
        pass
    writer.close()
    assert tried[0] == tried[1]


def test_oldest_become_gaps_when_the_disk_refuses_for_long(files, monkeypatch):
    monkeypatch.setattr(results, "MAX_PENDING", 3)
    outbox = opened(files)
    monkeypatch.setattr(outbox, "commit", _refuse)
    writer, _ = write(outbox, *(up(1, at=float(n)) for n in range(10)))
    assert writer.lost == 7
    kept = writer._failed
    assert kept[0].reason == "outbox_full"
    assert sum(one.count for one in kept) == 10


def test_results_behind_a_gap_are_delivered_when_the_disk_comes_back(files, monkeypatch):
    monkeypatch.setattr(results, "MAX_PENDING", 3)
    outbox = opened(files)
    commit, tries = outbox.commit, []

    def refuse_once(records: list[Record]) -> None:
        tries.append(len(records))
        if len(tries) == 1:
            raise OSError(errno.EIO, "broken")
        commit(records)

    monkeypatch.setattr(outbox, "commit", refuse_once)
    writer = ResultWriter(outbox, Watermarks())
    for at in range(10):
        writer.put(up(1, at=float(at)))
    writer._store()
    writer._store()
    delivered = stored(outbox)
    assert [one.count for one in delivered] == [7, 1, 1, 1]
    assert [one.seq for one in delivered] == sorted({one.seq for one in delivered})


def _refuse(records: list[Record]) -> None:
    raise OSError(errno.EIO, "broken")


def test_watermark_is_when_the_last_stored_run_was_due(files):
    span = Missed(task(2), "late", 3, 50.0, 70.0)
    _, marks = write(opened(files), up(1, at=100.5, late_seconds=0.5), result_of_span(span))
    assert marks.moments == {1: 100.0, 2: 70.0}


def test_watermarks_come_back_from_the_snapshot_and_what_followed():
    before = Watermarks()
    before.add(up(1, at=10.0))
    tail = [msgspec.json.encode(up(2, at=20.0)), msgspec.json.encode(up(3, request_id="r"))]
    again = Watermarks(before.snapshot(), tail)
    assert again.moments == {1: 10.0, 2: 20.0}
    assert again.requests == {"r"}


def test_watermarks_of_gone_probes_are_forgotten():
    marks = Watermarks()
    marks.add(up(1))
    marks.add(up(2))
    marks.keep_only([2])
    assert set(marks.moments) == {2}


def test_gap_counts_runs_per_probe_and_joins_earlier_gaps():
    first = gaps_of([up(1, at=10.0), up(1, at=20.0), up(2, at=15.0), up(1, request_id="r")])
    again = gaps_of([*first, up(1, at=30.0)])
    one = next(gap for gap in again if gap.task_id == 1)
    assert (one.count, one.started_at, one.ended_at) == (3, 10.0, 30.0)
    assert (one.outcome, one.reason) == ("missed", "outbox_full")


def test_summary_takes_a_sequence_for_each_probe():
    numbers = iter(range(100, 200))
    payloads = [msgspec.json.encode(up(n % 2)) for n in range(10)]
    found = summarise(payloads, "s", lambda: next(numbers))
    assert [sequence for sequence, _ in found] == [100, 101]
    assert msgspec.json.decode(found[0][1], type=ProbeResult).count == 5
