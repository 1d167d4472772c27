"""Two transfers of one content at once: neither writes into what the other has finished."""

from __future__ import annotations

import os

import pytest

from agent_client.files import receiving
from agent_client.files.receiving import Target, open_part
from tests.agent_client.files.conftest import Move


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
