"""The log store: every byte once, at its offset, whatever is sent again or torn off."""

from __future__ import annotations

import os
import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.protocol import frames
from agent_client.protocol.frames import STDERR, STDOUT
from tasks.logs import store as store_module
from tasks.logs.index import RECORD_BYTES
from tasks.logs.reading import LogReader
from tasks.logs.store import Gap, LogStore

PIECES = [(STDOUT, b"hello "), (STDERR, b"oops\n"), (STDOUT, b"world\n")]


@pytest.fixture
def store(tmp_path) -> LogStore:
    return LogStore(tmp_path / "logs")


def encode(pieces, *, time_ms: int = 1_000) -> bytes:
    """Return frames a second apart, so that none is joined with the next."""
    return b"".join(
        frames.encode(stream, time_ms + number * 1_000, payload)
        for number, (stream, payload) in enumerate(pieces)
    )


def reader(store: LogStore, task_id: int = 1) -> LogReader:
    return LogReader(store.stem(task_id))


def test_append_returns_the_end(store):
    assert store.append(1, 0, encode(PIECES)) == 17


def test_merged_log_is_in_order_of_arrival(store):
    store.append(1, 0, encode(PIECES))
    assert reader(store).read(0, 100).data == b"hello oops\nworld\n"


@pytest.mark.parametrize(("stream", "data"), [(STDOUT, b"hello world\n"), (STDERR, b"oops\n")])
def test_stream_has_offsets_of_its_own(store, stream, data):
    store.append(1, 0, encode(PIECES))
    assert reader(store).read(0, 100, stream=stream).data == data
    assert reader(store).read(2, 2, stream=stream).data == data[2:4]
    assert reader(store).size(stream) == len(data)


def test_repeated_chunk_changes_nothing(store):
    store.append(1, 0, encode(PIECES))
    assert store.append(1, 0, encode(PIECES)) == 17
    assert reader(store).size() == 17


def test_chunk_that_overlaps_the_end_adds_only_what_is_new(store):
    store.append(1, 0, encode(PIECES[:1]))
    store.append(1, 3, encode([(STDOUT, b"lo "), (STDERR, b"more")]))
    assert reader(store).read(0, 100).data == b"hello more"


def test_chunk_beyond_the_end_is_refused_with_the_expected_offset(store):
    store.append(1, 0, encode(PIECES))
    with pytest.raises(Gap) as gap:
        store.append(1, 18, encode(PIECES))
    assert gap.value.expected == 17


def test_malformed_frames_store_nothing(store):
    with pytest.raises(frames.FrameError):
        store.append(1, 0, encode(PIECES) + b"\x07")
    assert reader(store).size() == 0


def test_log_goes_on_after_a_restart(store):
    store.append(1, 0, encode(PIECES))
    again = LogStore(store.stem(1).parent)
    again.append(1, 17, encode([(STDOUT, b"!")]))
    assert reader(again).read(0, 100).data == b"hello oops\nworld\n!"


def test_bytes_without_index_are_not_shown_and_cut_off(store):
    store.append(1, 0, encode(PIECES))
    with store.stem(1).with_suffix(".log").open("ab") as file:
        file.write(b"torn")
    assert reader(store).read(0, 100).data.endswith(b"world\n")
    again = LogStore(store.stem(1).parent)
    again.append(1, 17, encode([(STDOUT, b"next")]))
    assert reader(again).read(0, 100).data.endswith(b"world\nnext")


def test_index_beyond_the_bytes_is_cut_off(store):
    store.append(1, 0, encode(PIECES))
    os.truncate(store.stem(1).with_suffix(".log"), 12)
    again = LogStore(store.stem(1).parent)
    with pytest.raises(Gap) as gap:
        again.append(1, 17, encode([(STDOUT, b"next")]))
    assert gap.value.expected == 11


def test_torn_index_record_is_cut_off(store):
    store.append(1, 0, encode(PIECES))
    os.truncate(store.stem(1).with_suffix(".idx"), 2 * RECORD_BYTES + 5)
    again = LogStore(store.stem(1).parent)
    assert again.append(1, 11, encode([(STDOUT, b"world\n")])) == 17


def test_failed_flush_leaves_the_acknowledged_state(store, monkeypatch):
    store.append(1, 0, encode(PIECES))

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(store_module.os, "fdatasync", fail)
        with pytest.raises(OSError, match="Input/output"):
            store.append(1, 17, encode([(STDOUT, b"lost")]))
    assert reader(store).size() == 17
    store.append(1, 17, encode([(STDOUT, b"kept")]))
    assert reader(store).read(17, 100).data == b"kept"


def test_bytes_are_flushed_before_they_are_acknowledged(store, monkeypatch):
    flushed = []
    monkeypatch.setattr(store_module.os, "fdatasync", flushed.append)
    store.append(1, 0, encode(PIECES))
    assert len(flushed) == 2


def test_another_process_may_have_written_in_between(store):
    store.append(1, 0, encode(PIECES))
    LogStore(store.stem(1).parent).append(1, 17, encode([(STDOUT, b"theirs")]))
    with pytest.raises(Gap) as gap:
        store.append(1, 40, encode([(STDOUT, b"ours")]))
    assert gap.value.expected == 23


def test_open_files_are_bounded(tmp_path):
    store = LogStore(tmp_path, max_open=2)
    for task_id in range(1, 6):
        store.append(task_id, 0, encode(PIECES))
    assert len(store._open) == 2
    assert reader(store, 1).size() == 17


def test_logs_are_private_to_the_server(store):
    store.append(1, 0, encode(PIECES))
    assert store.stem(1).with_suffix(".log").stat().st_mode & 0o777 == 0o600


def test_raw_stream_is_appended_at_its_own_offset(store):
    store.append_stream(1, STDERR, 0, b"first ")
    store.append_stream(1, STDOUT, 0, b"out ")
    assert store.append_stream(1, STDERR, 6, b"second") == 12
    assert store.append_stream(1, STDERR, 0, b"first ") == 12
    assert reader(store).read(0, 100).data == b"first out second"
    with pytest.raises(Gap) as gap:
        store.append_stream(1, STDOUT, 5, b"x")
    assert gap.value.expected == 4


def test_large_raw_body_is_cut_into_frames(store):
    data = random.Random(1).randbytes(300_000)
    assert store.append_stream(1, STDOUT, 0, data) == len(data)
    assert reader(store).read(0, 400_000).data == data


def test_missing_log_is_empty(store):
    assert reader(store).read(0, 10).data == b""
    assert reader(store).read_frames(5, 10).size == 0


def test_read_past_the_end_is_empty(store):
    store.append(1, 0, encode(PIECES))
    found = reader(store).read(99, 10)
    assert (found.data, found.size) == (b"", 17)


@pytest.mark.parametrize(("stream", "data"), [(None, b"world\n"), (STDERR, b"oops\n")])
def test_tail_is_the_end_of_log_or_stream(store, stream, data):
    store.append(1, 0, encode(PIECES))
    assert reader(store).tail(6, stream=stream).data == data


def test_frames_are_cut_to_the_asked_offset(store):
    store.append(1, 0, encode(PIECES))
    piece = reader(store).read_frames(8, 5)
    found = [(frame.stream, frame.payload) for frame in frames.decode(piece.data)]
    assert found == [(STDERR, b"ps\n"), (STDOUT, b"wo")]
    assert (piece.offset, piece.next, piece.size) == (8, 13, 17)


def test_time_finds_the_offset(store):
    store.append(1, 0, encode(PIECES, time_ms=1_000))
    assert [reader(store).offset_at(ms) for ms in (0, 1_001, 3_000, 9_000)] == [0, 6, 11, 17]


def test_neighbours_of_one_stream_share_a_record(store):
    data = b"".join(frames.encode(STDOUT, 1_000 + n, b"line\n") for n in range(9))
    store.append(1, 0, data)
    assert store.stem(1).with_suffix(".idx").stat().st_size == RECORD_BYTES


def test_long_run_of_the_other_stream_is_jumped_over(store):
    store.append(1, 0, encode([(STDERR, b"a"), *[(STDOUT, b"x" * 100)] * 2_000, (STDERR, b"b")]))
    assert reader(store).read(0, 10, stream=STDERR).data == b"ab"


def test_two_threads_writing_the_same_log_store_each_byte_once(store):
    chunks = [encode([(STDOUT, bytes([number]) * 100)]) for number in range(20)]

    def ship() -> None:
        for number, chunk in enumerate(chunks):
            store.append(1, number * 100, chunk)

    threads = [threading.Thread(target=ship) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reader(store).size() == 2_000


SCRIPTS = st.lists(
    st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(min_size=1, max_size=40)), max_size=12
)


@settings(max_examples=150, deadline=None)
@given(pieces=SCRIPTS, data=st.data())
def test_any_order_of_repeats_and_restarts_gives_the_script_s_bytes(tmp_path_factory, pieces, data):
    """Ships from any acknowledged offset, again and again, with restarts in between."""
    store = LogStore(tmp_path_factory.mktemp("logs"))
    offsets = [0]
    for _stream, payload in pieces:
        offsets.append(offsets[-1] + len(payload))
    stored = 0
    for _ in range(60):
        if stored == offsets[-1]:
            break
        first = data.draw(st.integers(0, len(pieces) - 1))
        last = data.draw(st.integers(first + 1, len(pieces)))
        if data.draw(st.booleans()):
            store = LogStore(store.stem(1).parent)
        try:
            stored = store.append(1, offsets[first], encode(pieces[first:last]))
        except Gap as gap:
            begin = offsets.index(gap.expected)
            stored = store.append(1, gap.expected, encode(pieces[begin:last]))
    log = reader(store)
    whole = b"".join(payload for _stream, payload in pieces)
    assert log.read(0, 1_000).data == whole[:stored]
    for stream in (STDOUT, STDERR):
        expected = b"".join(payload for kind, payload in pieces if kind == stream)
        assert expected.startswith(log.read(0, 1_000, stream=stream).data)
