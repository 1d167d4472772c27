"""A version on trial: kept by a welcome, taken back by anything else, wherever it is cut off."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent_client.protocol.releases import WantedRelease
from agent_client.upgrade import installation, versions
from agent_client.upgrade.installation import KEEP_VERSIONS, find_installation


def current(home: Path) -> str:
    """Return the version that the link names."""
    return (home / "current").resolve().name.partition("-")[0]


def start(home: Path, *words: str) -> str:
    """Start the launcher with a Python that only says where it lies."""
    for folder in (home / "versions").iterdir():
        program = folder / "bin" / "python"
        program.parent.mkdir(exist_ok=True)
        program.write_text('#!/bin/sh\necho "$0 $AGENT_ENROLL_TOKEN_FILE"\n')
        program.chmod(0o700)
    environment = {"PATH": os.environ["PATH"], "AGENT_ENROLL_TOKEN_FILE": f"{home}/enroll_token"}
    done = subprocess.run(
        [str(home / "run"), *words], capture_output=True, text=True, env=environment
    )
    return done.stdout.strip().removeprefix(f"{home}/versions/").partition("-")[0]


def test_welcomed_version_stays(old, new, release):
    old.open_trial(release)
    assert current(old.home) == "2.0"
    assert (old.is_on_trial(), new.is_on_trial()) == (False, True)
    assert new.confirm()
    assert not new.is_on_trial()
    assert not new.take_back("late")
    assert current(old.home) == "2.0"


def test_version_that_is_taken_back_leaves_its_reason(old, new, release):
    old.open_trial(release)
    assert new.take_back("The server did not welcome it.")
    assert current(old.home) == "1.0"
    state = old.state(can_change=True)
    assert (state.sha256, state.failed_order, state.code) == (old.sha256, 3, "upgrade_taken_back")
    assert state.detail == "The server did not welcome it."
    assert not new.confirm()


def test_version_is_taken_back_also_when_the_disk_is_full(old, new, release, monkeypatch):
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    old.open_trial(release)
    monkeypatch.setattr(installation, "write_durably", full)
    assert new.take_back("The server did not welcome it.")
    assert current(old.home) == "1.0"
    failure = old.failure()
    assert failure is not None
    assert (failure.order, failure.code) == (3, "upgrade_taken_back")


def test_launcher_takes_a_version_back_that_was_started_three_times(old, release):
    old.open_trial(release)
    assert [start(old.home, "main") for _ in range(5)] == ["2.0", "2.0", "2.0", "1.0", "1.0"]
    failure = old.failure()
    assert failure is not None
    assert (failure.order, failure.sha256) == (3, release.sha256)
    assert "started 3 times" in failure.detail


def test_other_commands_do_not_count_as_starts(old, release):
    old.open_trial(release)
    assert {start(old.home, "status") for _ in range(6)} == {"2.0"}


def test_launcher_forgets_the_file_of_a_token_that_is_gone(old):
    start(old.home, "main")
    said = subprocess.run(
        [str(old.home / "run")],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "AGENT_ENROLL_TOKEN_FILE": f"{old.home}/enroll_token"},
    ).stdout
    assert "enroll_token" not in said


def test_switch_that_was_cut_off_is_begun_anew(old, release):
    old.open_trial(release)
    versions.switch(old.home, old.folder)
    assert not old.settle()
    assert not (old.home / "trial").exists()
    assert old.failure() is None


def test_way_back_that_was_cut_off_is_finished(old, new, release):
    old.open_trial(release)
    (old.home / "trial").rename(old.home / "failed")
    assert new.settle()
    assert current(old.home) == "1.0"


def test_second_trial_of_a_failed_version_is_a_trial(old, new, release):
    old.open_trial(release)
    new.take_back("first")
    old.open_trial(msgspec.structs.replace(release, order=4))
    assert not new.settle()
    assert new.is_on_trial()


def test_failure_before_the_trial_replaces_an_older_one(old, new, release):
    old.open_trial(release)
    new.take_back("first")
    old.record(
        msgspec.structs.replace(release, order=9), code="upgrade_not_built", detail="x" * 999
    )
    failure = old.failure()
    assert failure is not None
    assert (failure.order, failure.code, len(failure.detail)) == (9, "upgrade_not_built", 400)
    assert not new.settle()


def test_newest_versions_are_kept_and_the_running_one(old):
    for number in range(3, 9):
        folder = versions.folder_of(old.home, f"{number}.0", f"{number}" * 64)
        folder.mkdir()
        (folder / versions.COMPLETE).write_text(f"{number}" * 64)
        os.utime(folder / versions.COMPLETE, (2e9 + number, 2e9 + number))
    (old.home / "versions" / "9.0-interrupted").mkdir()
    gone = old.prune()
    left = {path.name.partition("-")[0] for path in (old.home / "versions").iterdir()}
    assert left == {"1.0", "8.0", "7.0", "6.0"}
    assert len(left) == KEEP_VERSIONS + 1
    assert any("interrupted" in name for name in gone)


def test_version_that_still_watches_over_a_task_is_kept(old, new):
    for number in range(3, 7):
        folder = versions.folder_of(old.home, f"{number}.0", f"{number}" * 64)
        folder.mkdir()
        (folder / versions.COMPLETE).write_text(f"{number}" * 64)
        os.utime(folder / versions.COMPLETE, (2e9 + number, 2e9 + number))
    versions.switch(old.home, new.folder)
    program = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", program, str(old.folder / "zygote.py")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as task:
        # The kernel closes what exec closes before it shows the new command line.
        assert task.stdout is not None and task.stdout.readline()
        new.prune()
        assert old.folder.exists()
    new.prune()
    assert not old.folder.exists()


def test_fallback_of_a_trial_is_kept(old, new, release):
    old.open_trial(release)
    for number in range(3, 7):
        folder = versions.folder_of(old.home, f"{number}.0", f"{number}" * 64)
        folder.mkdir()
        (folder / versions.COMPLETE).write_text(f"{number}" * 64)
    new.prune()
    assert old.folder.exists()


def test_installation_is_found_by_its_version_only(old):
    named = {"DIALER_AGENT_HOME": str(old.home)}
    found = find_installation(named, str(old.folder))
    assert found == old
    assert find_installation({}, str(old.folder)) is None
    assert find_installation(named, "/usr") is None
    shutil.rmtree(old.folder)
    assert find_installation(named, str(old.folder)) is None


@pytest.mark.parametrize("version", ["../x", "1/2", "", "1" * 40])
def test_version_is_never_a_path(version):
    text = msgspec.json.encode(
        {"order": 1, "version": version, "sha256": "a" * 64, "size_bytes": 1}
    )
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=WantedRelease)
