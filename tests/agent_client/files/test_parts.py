"""The neighbour that takes the bytes: its name stays beside the file, its content is ours."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from agent_client.errors import Rejected
from agent_client.files import receiving
from agent_client.files.receiving import Target, open_part
from tests.agent_client.files.conftest import TRANSFER_ID, Move


def test_part_that_went_into_place_before_the_lock_is_not_written_again(
    move: Move, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, final = receiving.fcntl.flock, move.directory / "file"

    def lock_late(descriptor: int, how: int) -> None:
        for part in move.directory.glob(".*.part"):
            if not final.exists():
                part.rename(final)  # as whoever held the lock does at the end
        lock(descriptor, how)

    monkeypatch.setattr(receiving.fcntl, "flock", lock_late)
    directory = os.open(move.directory, os.O_RDONLY)
    try:
        part = open_part(Target(directory, "file", str(final)), move.transfer())
        found = os.fstat(part.descriptor)
        os.close(part.descriptor)
    finally:
        os.close(directory)
    assert final.exists()
    assert found.st_ino != final.stat().st_ino


@pytest.mark.parametrize("field", ["sha256", "id"])
def test_tag_of_the_server_does_not_lead_out_of_the_directory(
    move: Move, tmp_path: Path, field: str
) -> None:
    # As long as a tag is, so that it was once the name of a file two directories up.
    (tmp_path / "out").mkdir()
    victim = tmp_path / "out" / "victi.part"
    victim.write_text("safe")
    (move.directory / ".file.").mkdir()
    hostile = {"sha256": "", field: "/../../out/victi"}
    transfer = msgspec.structs.replace(move.transfer(), **hostile)
    directory = os.open(move.directory, os.O_RDONLY)
    try:
        with pytest.raises(Rejected) as error:
            open_part(Target(directory, "file", str(move.directory / "file")), transfer)
    finally:
        os.close(directory)
    assert (error.value.code, victim.read_text()) == ("offer_invalid", "safe")


def test_without_a_digest_the_part_is_named_by_the_transfer(move: Move) -> None:
    directory = os.open(move.directory, os.O_RDONLY)
    try:
        target = Target(directory, "file", str(move.directory / "file"))
        part = open_part(target, move.transfer(sha256=""))
        os.close(part.descriptor)
    finally:
        os.close(directory)
    assert part.name == f".file.{TRANSFER_ID[:16]}.part"
