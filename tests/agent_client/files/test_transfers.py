"""Receiving and sending: whole or not at all, resumed, checked, and honest about trouble."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import pwd
import random
import time
import types
from pathlib import Path

import pytest

from agent_client.errors import Rejected
from agent_client.files import receiving, sending, server
from agent_client.files.sending import send
from agent_client.protocol.transfers import MAX_CHUNK_BYTES
from tests.agent_client.files.conftest import Move
from tests.services import missing

CHUNK = 64 * 1024


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many chunks in few bytes."""
    for module in (receiving, sending, server):
        monkeypatch.setattr(module, "MAX_CHUNK_BYTES", CHUNK)


def filled(move: Move, size: int = 10 * CHUNK + 7) -> bytes:
    data = random.Random(size).randbytes(size)
    move.fake.content[:] = data
    return data


def code_of(error: pytest.ExceptionInfo[Rejected]) -> str:
    return error.value.code


# --- to the host ------------------------------------------------------------------


def test_file_arrives_under_its_name_and_nothing_else_stays(move: Move) -> None:
    data = filled(move)
    move.receive(mode=0o640)
    assert (move.directory / "file").read_bytes() == data
    assert (move.directory / "file").stat().st_mode & 0o777 == 0o640
    assert move.names() == ["file"]


def test_mode_gives_permissions_and_never_a_user(move: Move) -> None:
    move.receive(mode=0o7755)
    assert (move.directory / "file").stat().st_mode & 0o7777 == 0o755


def test_empty_file_arrives(move: Move) -> None:
    move.receive()
    assert (move.directory / "file").read_bytes() == b""


@pytest.mark.parametrize("trouble", ["cuts", "busy", "broken"])
def test_trouble_on_the_way_is_waited_out(move: Move, trouble: str) -> None:
    data = filled(move)
    setattr(move.fake, trouble, 3)
    move.receive()
    assert (move.directory / "file").read_bytes() == data


def test_waiting_for_the_server_is_said_once(move: Move) -> None:
    filled(move)
    move.fake.busy = 5
    move.receive()
    assert move.said.getvalue().count("waiting for the server") == 1
    assert move.said.getvalue().count("the server is back") == 1


def test_interrupted_file_goes_on_where_it_was(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    data = filled(move)
    real, calls = receiving.write_all, []

    def fail_at_the_sixth(descriptor: int, piece: bytes, offset: int) -> None:
        calls.append(offset)
        if len(calls) == 6:
            raise KeyboardInterrupt
        real(descriptor, piece, offset)

    monkeypatch.setattr(receiving, "write_all", fail_at_the_sixth)
    with pytest.raises(KeyboardInterrupt):
        move.receive()
    assert "file" not in move.names()
    monkeypatch.setattr(receiving, "write_all", real)
    move.receive()
    assert (move.directory / "file").read_bytes() == data
    assert move.fake.sent_bytes <= len(data) + CHUNK
    assert move.names() == ["file"]


def test_part_of_other_bytes_is_found_out_and_thrown_away(move: Move) -> None:
    data = filled(move)
    tag = hashlib.sha256(data).hexdigest()[:16]
    (move.directory / f".file.{tag}.part").write_bytes(bytes(3 * CHUNK))
    with pytest.raises(Rejected) as error:
        move.receive()
    assert (code_of(error), move.names()) == ("digest_mismatch", [])
    move.receive()
    assert (move.directory / "file").read_bytes() == data


def test_what_is_there_is_not_replaced_unasked(move: Move) -> None:
    filled(move)
    (move.directory / "file").write_text("mine")
    with pytest.raises(Rejected) as error:
        move.receive()
    assert (code_of(error), (move.directory / "file").read_text()) == ("file_exists", "mine")


def test_what_appears_meanwhile_is_not_replaced(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(move)
    real = receiving.finish

    def race(*args: object) -> None:
        (move.directory / "file").write_text("faster")
        real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(receiving, "finish", race)
    with pytest.raises(Rejected) as error:
        move.receive()
    assert (code_of(error), (move.directory / "file").read_text()) == ("file_exists", "faster")


def test_link_under_the_name_is_replaced_and_not_followed(move: Move, tmp_path: Path) -> None:
    data = filled(move)
    (tmp_path / "victim").write_text("safe")
    (move.directory / "file").symlink_to(tmp_path / "victim")
    move.receive(overwrite=True)
    assert (tmp_path / "victim").read_text() == "safe"
    assert (move.directory / "file").read_bytes() == data


@pytest.mark.parametrize("kind", ["symlink", "hardlink"])
def test_part_that_is_a_link_is_not_written_through(move: Move, tmp_path: Path, kind: str) -> None:
    data = filled(move)
    victim = tmp_path / "victim"
    victim.write_text("safe")
    part = move.directory / f".file.{hashlib.sha256(data).hexdigest()[:16]}.part"
    part.symlink_to(victim) if kind == "symlink" else part.hardlink_to(victim)
    with contextlib.suppress(OSError):  # refused is as good as another name
        move.receive()
    assert victim.read_text() == "safe"


def test_full_disk_is_refused_before_the_first_byte(move: Move) -> None:
    with pytest.raises(Rejected) as error:
        move.receive(size_bytes=2**60)
    assert (code_of(error), move.fake.sent_bytes) == ("disk_full", 0)


@pytest.mark.parametrize(("left", "is_taken"), [(0, True), (-1, False)])
def test_reserve_of_the_disk_stays_free(
    move: Move, monkeypatch: pytest.MonkeyPatch, left: int, is_taken: bool
) -> None:
    data = filled(move)
    free = receiving.RESERVE_BYTES + len(data) + left
    found = types.SimpleNamespace(f_bavail=free, f_frsize=1)
    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: found)
    if is_taken:
        move.receive()
    else:
        with pytest.raises(Rejected, match="stay so") as error:
            move.receive()
        assert code_of(error) == "disk_full"
    assert (move.directory / "file").exists() is is_taken


def test_part_that_the_disk_refused_is_fetched_anew(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    data = filled(move)
    with monkeypatch.context() as patch, pytest.raises(OSError, match="Input/output"):
        patch.setattr(os, "fsync", refuse)
        move.receive()
    assert move.names() == []
    move.receive()
    assert (move.directory / "file").read_bytes() == data


def test_owner_that_does_not_exist_is_named(move: Move) -> None:
    filled(move, 10)
    with pytest.raises(Rejected, match="no such user"):
        move.receive(owner="nobody-of-that-name")
    assert "file" not in move.names()


def test_file_belongs_to_whom_it_was_given(move: Move) -> None:
    if os.geteuid() != 0:
        missing("the right to give files away", PermissionError("these tests do not run as root"))
    filled(move, 10)
    move.receive(owner="nobody", mode=0o600)
    found, nobody = (move.directory / "file").stat(), pwd.getpwnam("nobody")
    assert (found.st_uid, found.st_gid) == (nobody.pw_uid, nobody.pw_gid)
    assert found.st_mode & 0o7777 == 0o600


def test_void_token_ends_the_transfer(move: Move) -> None:
    filled(move)
    move.server = move.server_with("dpt_other")
    with pytest.raises(Rejected) as error:
        move.receive()
    assert (code_of(error), move.waits) == ("invalid_token", [])


def test_stale_parts_are_cleaned_up_and_fresh_ones_kept(move: Move) -> None:
    stale = move.directory / ".old.0123456789abcdef.part"
    fresh = move.directory / ".new.0123456789abcdef.part"
    for part in (stale, fresh):
        part.write_bytes(b"x")
    long_ago = time.time() - receiving.STALE_SECONDS - 60
    os.utime(stale, (long_ago, long_ago))
    move.receive()
    assert move.names() == [fresh.name, "file"]


# --- from the host ----------------------------------------------------------------


def sent(move: Move, data: bytes) -> None:
    path = move.directory / "source"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        send(descriptor, str(path), server=move.server, pace=move.pace, progress=move.progress)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("trouble", [None, "cuts", "busy"])
def test_file_is_sent_whole(move: Move, trouble: str | None) -> None:
    data = random.Random(1).randbytes(5 * CHUNK + 3)
    if trouble:
        setattr(move.fake, trouble, 2)
    sent(move, data)
    assert bytes(move.fake.content) == data
    assert move.fake.ended == {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_sending_goes_on_where_the_server_stands(move: Move) -> None:
    data = random.Random(2).randbytes(6 * CHUNK)
    move.fake.content[:] = data[: 4 * CHUNK]
    sent(move, data)
    assert bytes(move.fake.content) == data
    assert move.fake.got_bytes == 2 * CHUNK


def test_server_that_lost_some_gets_it_again(move: Move) -> None:
    data = random.Random(3).randbytes(6 * CHUNK)
    move.fake.content[:] = data[: 3 * CHUNK]
    move.fake.forgets = [CHUNK]
    sent(move, data)
    assert bytes(move.fake.content) == data
    assert move.fake.ended is not None
    assert move.fake.ended["sha256"] == hashlib.sha256(data).hexdigest()


def test_changed_file_is_an_error(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    real = move.server.put

    def touch(offset: int, data: bytes) -> int:
        (move.directory / "source").write_bytes(b"y" * 3 * CHUNK)
        return real(offset, data)

    monkeypatch.setattr(move.server, "put", touch)
    with pytest.raises(Rejected) as error:
        sent(move, b"x" * 3 * CHUNK)
    assert (code_of(error), move.fake.ended) == ("file_changed", None)


def test_log_that_grows_is_sent_as_it_was(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    real = move.server.put

    def grow(offset: int, data: bytes) -> int:
        with (move.directory / "source").open("ab") as file:
            file.write(b"more")
        return real(offset, data)

    monkeypatch.setattr(move.server, "put", grow)
    sent(move, b"x" * 3 * CHUNK)
    assert bytes(move.fake.content) == b"x" * 3 * CHUNK
    assert "has grown" in move.said.getvalue()


def test_chunks_of_the_protocol_are_four_mebibytes() -> None:
    assert MAX_CHUNK_BYTES == 4 * 1024 * 1024
