"""The store on disk: in order, checked, all or nothing, private, durable under its own name."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from tasks.files.store import FileStore, Gap, WrongDigest
from tests.tasks.files.conftest import sha

ID = "ab" * 12


@pytest.fixture
def store(tmp_path) -> FileStore:
    root = tmp_path / "store"
    root.mkdir()
    return FileStore(root)


def add(store: FileStore, offset: int, data: bytes) -> int:
    return store.append(ID, offset, data, sha(data))


def part(store: FileStore) -> Path:
    return store.path(ID).with_name(f"{ID}.part")


def test_file_has_its_name_only_when_it_is_whole(store):
    add(store, 0, b"hello ")
    assert (store.path(ID).exists(), part(store).exists()) == (False, True)
    add(store, 6, b"world")
    assert store.finish(ID, 11) == sha(b"hello world")
    assert (store.path(ID).read_bytes(), part(store).exists()) == (b"hello world", False)


def test_nobody_else_reads_what_is_stored(store):
    add(store, 0, b"x")
    store.finish(ID, 1)
    assert store.path(ID).stat().st_mode & 0o777 == 0o600
    assert store.path(ID).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("file_id", ["", "../../etc/passwd", "ab/cd", "AB" * 12, "a" * 33, "ab\n"])
def test_what_is_no_id_opens_nothing(store, file_id):
    with pytest.raises(ValueError, match="no id"):
        store.path(file_id)


def test_link_in_place_of_a_part_is_not_followed(store, tmp_path):
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    store.path(ID).parent.mkdir()
    part(store).symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        add(store, 0, b"x")
    assert victim.read_bytes() == b"mine"


def test_gap_names_what_is_expected(store):
    add(store, 0, b"abc")
    with pytest.raises(Gap) as caught:
        add(store, 5, b"x")
    assert caught.value.expected == 3


def test_repeat_writes_nothing_and_overlap_only_what_is_new(store):
    add(store, 0, b"abc")
    assert add(store, 0, b"abc") == 3
    assert add(store, 1, b"bcde") == 5
    assert store.finish(ID, 5) == sha(b"abcde")


def test_wrong_chunk_leaves_nothing(store):
    with pytest.raises(WrongDigest):
        store.append(ID, 0, b"abc", sha(b"x"))
    assert store.received(ID) == 0


def test_full_disk_in_the_middle_of_a_chunk_leaves_nothing_of_it(store, monkeypatch):
    add(store, 0, b"abc")
    real = os.pwrite
    calls = []

    def fail(descriptor: int, data: bytes, position: int) -> int:
        calls.append(position)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(descriptor, bytes(data)[:2], position)

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(OSError, match="No space"):
        add(store, 3, b"defg")
    assert (calls, store.received(ID)) == ([3, 5], 3)


def test_end_with_missing_bytes_keeps_what_there_is(store):
    add(store, 0, b"abc")
    with pytest.raises(Gap):
        store.finish(ID, 9)
    assert store.received(ID) == 3


@pytest.mark.parametrize(("size", "digest"), [(3, sha(b"x")), (2, "")])
def test_whole_that_is_not_what_it_should_be_begins_anew(store, size, digest):
    add(store, 0, b"abc")
    with pytest.raises(WrongDigest):
        store.finish(ID, size, digest)
    assert store.received(ID) == 0
    add(store, 0, b"xyz")
    assert store.finish(ID, 3) == sha(b"xyz")


@pytest.mark.parametrize("failing", [1, 2])
def test_file_that_could_not_be_flushed_begins_anew_in_another_file(store, monkeypatch, failing):
    add(store, 0, b"abc")
    damaged = os.open(part(store), os.O_RDONLY)
    calls = []

    def fail_once(_descriptor: int) -> None:
        calls.append(None)
        if len(calls) == failing:  # first the content is flushed, then its name
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail_once)
    with pytest.raises(OSError, match="Input/output"):
        store.finish(ID, 3)
    assert (store.received(ID), store.path(ID).exists(), store._running) == (0, False, {})
    with pytest.raises(Gap) as caught:
        store.finish(ID, 3)
    assert caught.value.expected == 0
    add(store, 0, b"abc")
    assert store.finish(ID, 3) == sha(b"abc")
    assert not os.path.sameopenfile(damaged, os.open(store.path(ID), os.O_RDONLY))


def test_digest_is_right_after_a_restart_in_the_middle(store, tmp_path):
    add(store, 0, b"hello ")
    fresh = FileStore(tmp_path / "store")
    add(fresh, 6, b"world")
    assert fresh.finish(ID, 11, sha(b"hello world")) == sha(b"hello world")


def test_damage_on_the_disk_is_found_at_the_end_after_a_restart(store, tmp_path):
    add(store, 0, b"hello")
    part(store).write_bytes(b"jello")
    with pytest.raises(WrongDigest):
        FileStore(tmp_path / "store").finish(ID, 5, sha(b"hello"))


def test_ending_twice_and_chunks_after_the_end_change_nothing(store):
    add(store, 0, b"abc")
    store.finish(ID, 3)
    assert store.finish(ID, 3, sha(b"abc")) == sha(b"abc")
    assert add(store, 0, b"xyz") == 3
    assert (store.path(ID).read_bytes(), part(store).exists()) == (b"abc", False)


def test_whole_file_is_compared_with_what_a_late_end_says(store):
    add(store, 0, b"abc")
    store.finish(ID, 3)
    with pytest.raises(WrongDigest):
        store.finish(ID, 3, sha(b"x"))
    assert store.path(ID).read_bytes() == b"abc"


def test_two_that_send_the_same_file_at_once_make_one(store):
    data = os.urandom(64 * 1024)
    chunks = [(at, data[at : at + 1024]) for at in range(0, len(data), 1024)]
    barrier = threading.Barrier(2)

    def send() -> None:
        barrier.wait()
        for at, chunk in chunks:
            add(store, at, chunk)

    threads = [threading.Thread(target=send) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert store.finish(ID, len(data)) == sha(data)


def test_running_digests_are_bounded(store, monkeypatch):
    monkeypatch.setattr("tasks.files.store.MAX_RUNNING_DIGESTS", 2)
    ids = [f"{number:024x}" for number in range(4)]
    for file_id in ids:
        store.append(file_id, 0, b"ab", sha(b"ab"))
    assert len(store._running) == 2
    assert [store.finish(file_id, 2) for file_id in ids] == [sha(b"ab")] * 4


def test_removed_file_is_gone_whole_or_not(store):
    add(store, 0, b"abc")
    store.remove(ID)
    assert (store.received(ID), part(store).exists()) == (0, False)
    store.remove(ID)


def test_read_past_the_end_is_empty(store):
    add(store, 0, b"abc")
    store.finish(ID, 3)
    assert (store.read(ID, 1, 9), store.read(ID, 3, 9)) == (b"bc", b"")
