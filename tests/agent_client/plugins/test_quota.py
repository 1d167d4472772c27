"""What a plug-in may keep: bytes on the disk and files, whatever links say."""

from __future__ import annotations

import os

import pytest

from agent_client.plugins import quota
from agent_client.plugins.quota import StateFull, check_room


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Make the bounds small."""
    monkeypatch.setattr(quota, "MAX_STATE_BYTES", 100_000)
    monkeypatch.setattr(quota, "MAX_STATE_FILES", 5)


def test_little_is_allowed(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(bytes(90_000))
    check_room(tmp_path)
    check_room(tmp_path / "missing")


def test_too_many_bytes_in_all_are_not(tmp_path):
    for name in "ab":
        (tmp_path / name).write_bytes(b"x" * 60_000)
    with pytest.raises(StateFull) as full:
        check_room(tmp_path)
    assert full.value.code == "plugin_state_full"
    assert str(tmp_path) in full.value.detail


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_too_many_files_are_not(tmp_path, kind):
    for number in range(6):
        path = tmp_path / str(number)
        path.touch() if kind == "file" else path.mkdir()
    with pytest.raises(StateFull):
        check_room(tmp_path)


def test_holes_and_what_links_lead_to_take_no_room(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "large").write_bytes(b"x" * 200_000)
    state = tmp_path / "state"
    state.mkdir()
    (state / "file").symlink_to(tmp_path / "outside" / "large")
    (state / "directory").symlink_to(tmp_path / "outside")
    with (state / "holes").open("wb") as file:
        os.truncate(file.fileno(), 10**9)
    check_room(state)
