"""A version counts as built when all of it is on disk, and not before."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent_client.upgrade import versions

SHA256 = "c" * 64


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what is done, in order: programs, and what is brought to disk."""
    done: list[str] = []
    fsync = os.fsync

    def run(command: list[str]) -> str:
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        done.append(" ".join(command[1:-1]))
        return ""

    def record(descriptor: int) -> None:
        done.append(f"fsync {Path(f'/proc/self/fd/{descriptor}').readlink()}")
        fsync(descriptor)

    monkeypatch.setattr(versions, "run", run)
    monkeypatch.setattr(os, "sync", lambda: done.append("sync"))
    monkeypatch.setattr(os, "fsync", record)
    return done


def test_mark_of_a_built_version_is_the_last_thing_on_disk(tmp_path: Path, steps: list[str]):
    folder = versions.folder_of(tmp_path, "1.0", SHA256)
    folder.parent.mkdir()
    versions.build_version(folder, b"wheel", "a.whl", SHA256)
    pip = "-m pip install --only-binary=:all: --quiet"
    mark = f"fsync {folder}/complete.new"
    assert steps == ["-m venv", pip, "sync", mark, f"fsync {folder}"]
    assert versions.is_complete(folder)


@pytest.mark.parametrize("text", ["", "c" * 12, "c" * 63 + "\0", "\xff" * 64])
def test_mark_that_was_cut_short_counts_for_nothing(tmp_path: Path, text: str):
    assert not versions.is_complete(tmp_path)
    (tmp_path / "complete").write_text(text, encoding="latin-1")
    assert not versions.is_complete(tmp_path)


def test_switch_is_on_disk_when_it_returns(tmp_path: Path, steps: list[str]):
    versions.switch(tmp_path, versions.folder_of(tmp_path, "1.0", SHA256))
    assert steps == [f"fsync {tmp_path}"]
