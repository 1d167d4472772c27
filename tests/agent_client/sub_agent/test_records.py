"""Records survive a crash whole or not at all; the claim has one owner."""

from __future__ import annotations

import os

import pytest

from agent_client.sub_agent import records
from agent_client.sub_agent.records import FileSystem


class FailingDisk(FileSystem):
    """A file system in which one kind of call fails."""

    def __init__(self, failing: str) -> None:
        self.failing = failing

    def __getattribute__(self, name):
        if name == object.__getattribute__(self, "failing"):
            raise OSError(28, "No space left on device")
        return object.__getattribute__(self, name)


def test_record_is_read_back_when_it_was_written(tmp_path):
    records.write_record(FileSystem(), str(tmp_path), "run.json", b'{"pid": 1}')
    assert records.read_json(str(tmp_path), "run.json") == {"pid": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("failing", ["write", "rename"])
def test_old_record_stays_when_the_disk_refuses(tmp_path, failing):
    records.write_record(FileSystem(), str(tmp_path), "x", b"old")
    with pytest.raises(OSError, match="No space"):
        records.write_record(FailingDisk(failing), str(tmp_path), "x", b"new")
    assert records.read_bytes(str(tmp_path), "x") == b"old"


def test_record_is_synced_before_it_gets_its_name(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(os, "fsync", lambda _: calls.append("fsync"))
    monkeypatch.setattr(os, "replace", lambda *_: calls.append("rename"))
    records.write_record(FileSystem(), str(tmp_path), "x", b"1")
    assert calls == ["fsync", "rename", "fsync"]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_torn_record_reads_as_none(tmp_path, content):
    (tmp_path / "exit.json").write_bytes(content)
    assert records.read_json(str(tmp_path), "exit.json") is None


def test_absent_record_reads_as_none(tmp_path):
    assert records.read_json(str(tmp_path), "exit.json") is None


def test_claim_is_held_until_its_owner_lets_go(tmp_path):
    claim = records.take_claim(str(tmp_path), b"{}")
    assert records.claim_is_held(str(tmp_path))
    os.close(claim)
    assert not records.claim_is_held(str(tmp_path))


def test_claim_is_refused_when_there_is_one(tmp_path):
    os.close(records.take_claim(str(tmp_path), b"first"))
    assert records.take_claim(str(tmp_path), b"second") is None
    assert [file.name for file in tmp_path.iterdir()] == ["claim"]
    assert (tmp_path / "claim").read_bytes() == b"first"


def test_no_claim_is_not_held(tmp_path):
    assert not records.claim_is_held(str(tmp_path))


def test_record_takes_the_room_that_was_reserved_for_it(tmp_path):
    records.reserve(str(tmp_path), "exit.json")
    assert records.read_bytes(str(tmp_path), "exit.json") is None
    reserved = (tmp_path / "exit.json.tmp").stat()
    records.write_record(FileSystem(), str(tmp_path), "exit.json", b"{}")
    written = (tmp_path / "exit.json").stat()
    assert reserved.st_blocks * 512 >= 4096
    assert (written.st_ino, written.st_size) == (reserved.st_ino, 2)


def test_shorter_record_leaves_nothing_of_a_longer_one(tmp_path):
    (tmp_path / "x.tmp").write_bytes(b"left by a crash")
    records.write_record(FileSystem(), str(tmp_path), "x", b"new")
    assert records.read_bytes(str(tmp_path), "x") == b"new"
