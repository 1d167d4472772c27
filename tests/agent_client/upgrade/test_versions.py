"""A version counts as built when all of it is on disk, and not before."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import agent_client
from agent_client.upgrade import versions

LOCK = "idna==3.20 \\\n    --hash=sha256:1\n"


def wheel(**more: str) -> bytes:
    """Return a wheel with nothing in it but these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in more.items():
            archive.writestr(f"a.dist-info/{name}", text)
    return buffer.getvalue()


WHEEL = wheel()
SHA256 = hashlib.sha256(WHEEL).hexdigest()


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
    versions.build_version(folder, WHEEL, "a.whl", SHA256)
    pip = "-m pip install --quiet --only-binary=:all:"
    mark = f"fsync {folder}/complete.new"
    assert steps == ["-m venv", pip, "sync", mark, f"fsync {folder}"]
    assert versions.is_complete(folder)


def test_pip_of_the_server_installs_what_the_wheel_locks(tmp_path: Path, steps, monkeypatch):
    folder = versions.folder_of(tmp_path, "1.0", SHA256)
    folder.parent.mkdir()
    (tmp_path / versions.PIP).touch()
    data = wheel(**{versions.LOCK: LOCK})
    commands: list[list[str]] = []
    locks: list[str] = []

    def run(command: list[str]) -> str:
        commands.append(command)
        if "-r" in command:
            locks.append(Path(command[-1]).read_text())
        else:
            folder.mkdir()
        return ""

    monkeypatch.setattr(versions, "run", run)
    versions.build_version(folder, data, "a.whl", "d" * 64)
    assert commands[0][1:] == ["-m", "venv", "--without-pip", str(folder)]
    assert commands[1][:2] == [f"{folder}/bin/python", f"{tmp_path}/pip.whl/pip"]
    assert {"--require-hashes", "--no-deps", "--only-binary=:all:"} <= set(commands[1])
    assert locks == [f"{LOCK}\nfile://{tmp_path}/versions/a.whl --hash=sha256:{'d' * 64}\n"]
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize("text", ["", "c" * 12, "c" * 63 + "\0", "\xff" * 64])
def test_mark_that_was_cut_short_counts_for_nothing(tmp_path: Path, text: str):
    assert not versions.is_complete(tmp_path)
    (tmp_path / "complete").write_text(text, encoding="latin-1")
    assert not versions.is_complete(tmp_path)


def test_switch_is_on_disk_when_it_returns(tmp_path: Path, steps: list[str]):
    versions.switch(tmp_path, versions.folder_of(tmp_path, "1.0", SHA256))
    assert steps == [f"fsync {tmp_path}"]


@pytest.fixture
def foreign_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Be in a directory with modules that would end every Python that takes them."""
    place = tmp_path / "foreign"
    place.mkdir()
    for name in ("venv", "argparse", "agent_client"):
        (place / f"{name}.py").write_text("raise SystemExit('a foreign module was run')\n")
    monkeypatch.chdir(place)
    return place


def test_steps_take_no_module_from_the_present_directory(foreign_directory: Path):
    assert "usage: venv" in versions.run([sys.executable, "-m", "venv", "--help"])


def test_launcher_takes_no_module_from_the_present_directory(tmp_path, foreign_directory):
    folder = versions.folder_of(tmp_path, "1.0", SHA256)
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin/python"
    # The package lies where a version has it: among the modules of its own Python.
    package = Path(agent_client.__file__).parents[1]
    program.write_text(f'#!/bin/sh\nPYTHONPATH={package} exec {sys.executable} "$@"\n')
    program.chmod(0o700)
    versions.write_programs(tmp_path)
    versions.switch(tmp_path, folder)
    said = subprocess.run([tmp_path / "run", "--version"], capture_output=True, text=True)
    assert said.stdout == f"{agent_client.__version__}\n"
