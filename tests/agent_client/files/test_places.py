"""Where the policy's directories are: links are followed once, and only those of its owner."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent_client.files.places import places_of


def test_directory_without_links_is_where_it_says(tmp_path: Path) -> None:
    assert places_of([tmp_path]) == {str(tmp_path): str(tmp_path)}


def test_own_links_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "real" / "below").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "up").symlink_to("../real/./below")
    named = tmp_path / "link" / "up"
    assert places_of([named]) == {str(named): str(tmp_path / "real" / "below")}


def test_what_does_not_exist_yet_keeps_its_name(tmp_path: Path) -> None:
    assert places_of([tmp_path / "a" / "b"]) == {f"{tmp_path}/a/b": f"{tmp_path}/a/b"}


def test_links_in_a_circle_allow_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert places_of([tmp_path / "a", tmp_path]) == {str(tmp_path): str(tmp_path)}


def test_link_of_another_user_allows_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    real = os.lstat

    def as_of_a_stranger(path: str) -> os.stat_result:
        found = list(real(path))
        found[4] = 4711  # st_uid
        return os.stat_result(found)

    monkeypatch.setattr(os, "lstat", as_of_a_stranger)
    assert places_of([tmp_path / "link", tmp_path / "real"]) == {
        f"{tmp_path}/real": f"{tmp_path}/real"
    }
    assert "is a link of another user" in caplog.text
