"""The log file: names, rotation by day and size, what is kept, and whom it trusts."""

from __future__ import annotations

import gzip
import logging
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent_client.log_file import LogFile, PlaceError, Rotation, open_for_append

START = datetime(2025, 9, 4, 12, 0).timestamp()
DAY = timedelta(days=1).total_seconds()


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_log(tmp_path, clock):
    """Return a function that opens a log file; all are closed at the end."""
    opened = []

    def run(name="agent", directory=tmp_path, **rotation) -> LogFile:
        log = LogFile(directory, name, Rotation(**rotation), clock=clock)
        log.setFormatter(logging.Formatter("%(message)s"))
        opened.append(log)
        return log

    yield run
    for log in opened:
        log.close()


def _say(log: LogFile, text: str) -> None:
    log.emit(logging.makeLogRecord({"msg": text}))


def _settle(log: LogFile) -> None:
    """Wait until compressing and removing are done."""
    for worker in log._workers:
        worker.join()


def _names(directory: Path) -> list[str]:
    return sorted(p.name for p in directory.iterdir() if not p.name.endswith(".lock"))


def test_file_is_named_after_the_day_when_rotating_by_day(open_log, tmp_path):
    _say(open_log(), "one")
    assert (tmp_path / "agent.2025.09.04.log").read_text() == "one\n"


def test_file_has_a_fixed_name_when_not_rotating_by_day(open_log, tmp_path):
    _say(open_log("agent.log", by_day=False), "one")
    assert (tmp_path / "agent.log").read_text() == "one\n"


def test_new_day_opens_a_new_file_and_compresses_the_old(open_log, tmp_path, clock):
    log = open_log()
    _say(log, "one")
    clock.now += DAY
    _say(log, "two")
    _settle(log)
    assert (tmp_path / "agent.2025.09.05.log").read_text() == "two\n"
    with gzip.open(tmp_path / "agent.2025.09.04.log.gz", "rt") as packed:
        assert packed.read() == "one\n"
    assert not (tmp_path / "agent.2025.09.04.log").exists()


def test_clock_that_is_set_back_does_not_reopen_an_old_day(open_log, tmp_path, clock):
    log = open_log()
    clock.now -= DAY
    _say(log, "one")
    assert log.path.name == "agent.2025.09.04.log"


def test_file_in_use_is_never_compressed(open_log, tmp_path, clock):
    log = open_log(max_files=0)
    for day in range(20):
        _say(log, f"day {day}")
        clock.now += DAY
    _say(log, "last")
    _settle(log)
    assert log.path.read_text() == "last\n"
    assert len(_names(tmp_path)) == 21


def test_full_file_is_set_aside_with_rising_numbers(open_log, tmp_path):
    log = open_log(by_day=False, max_size_bytes=8, compress=False)
    for text in ("1234567", "abc", "def", "ghi"):
        _say(log, text)
    _settle(log)
    assert _names(tmp_path) == ["agent.1.log", "agent.2.log", "agent.log"]
    assert (tmp_path / "agent.1.log").read_text() == "1234567\n"
    assert (tmp_path / "agent.2.log").read_text() == "abc\ndef\n"
    assert (tmp_path / "agent.log").read_text() == "ghi\n"


def test_full_file_of_a_day_is_numbered_within_the_day(open_log, tmp_path):
    log = open_log(max_size_bytes=4, compress=False)
    _say(log, "123")
    _say(log, "456")
    assert (tmp_path / "agent.2025.09.04.1.log").read_text() == "123\n"


def test_size_counts_what_sub_processes_appended(open_log, tmp_path):
    log = open_log(by_day=False, max_size_bytes=8, compress=False)
    _say(log, "a")
    with log.path.open("a") as stream:
        stream.write("123456\n")
    _say(log, "b")
    assert log.path.read_text() == "b\n"


def test_line_longer_than_the_limit_is_written_once(open_log, tmp_path):
    log = open_log(by_day=False, max_size_bytes=4)
    _say(log, "123456789")
    assert log.path.read_text() == "123456789\n"


def test_huge_line_is_cut_and_marked(open_log):
    log = open_log()
    _say(log, "x" * 100_000)
    text = log.path.read_text()
    assert len(text) < 70_000
    assert text.endswith("… (cut)\n")


def test_restart_appends_to_the_file_of_the_day(open_log):
    log = open_log()
    _say(log, "one")
    log.close()
    log = open_log()
    _say(log, "two")
    assert log.path.read_text() == "one\ntwo\n"


def _make_old(directory: Path, name: str, age_seconds: float) -> Path:
    path = directory / name
    path.write_text("old\n")
    os.utime(path, (START - age_seconds, START - age_seconds))
    return path


def test_only_the_newest_files_are_kept(open_log, tmp_path):
    for days in range(1, 5):
        _make_old(tmp_path, f"agent.2025.08.0{9 - days}.log", days * DAY)
    _settle(open_log(max_files=2, compress=False))
    assert _names(tmp_path) == [
        "agent.2025.08.07.log",
        "agent.2025.08.08.log",
        "agent.2025.09.04.log",
    ]


def test_files_beyond_the_age_are_removed(open_log, tmp_path):
    _make_old(tmp_path, "agent.2025.08.01.log.gz", 8 * DAY)
    kept = _make_old(tmp_path, "agent.2025.08.30.log.gz", 5 * DAY)
    _settle(open_log(max_files=0, max_age_seconds=7 * DAY))
    assert _names(tmp_path) == [kept.name, "agent.2025.09.04.log"]


def test_files_of_other_names_are_never_touched(open_log, tmp_path):
    others = ["agent.backup.log", "agent2.2025.01.01.log", "notes.txt", "agent.2025.01.01.txt"]
    for name in others:
        _make_old(tmp_path, name, 100 * DAY)
    _settle(open_log(max_files=1, max_age_seconds=DAY))
    assert set(others) <= set(_names(tmp_path))


def test_second_agent_is_refused_the_same_name(open_log):
    open_log()
    with pytest.raises(PlaceError, match="another agent"):
        open_log()


def test_second_agent_may_have_another_name_in_the_same_directory(open_log):
    open_log()
    _say(open_log("other"), "fine")


def test_directory_that_everybody_may_write_is_refused(open_log, tmp_path):
    place = tmp_path / "open" / "logs"
    place.mkdir(parents=True)
    place.chmod(0o777)
    with pytest.raises(PlaceError, match="everybody"):
        open_log(directory=place)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_directory_of_another_user_is_refused(open_log, tmp_path):
    place = tmp_path / "foreign"
    place.mkdir()
    os.chown(place, 12345, 12345)
    with pytest.raises(PlaceError, match="another user"):
        open_log(directory=place)


def test_link_in_place_of_the_file_is_refused(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "agent.log").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        open_for_append(tmp_path / "agent.log")


def test_pipe_in_place_of_the_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "agent.log")
    with pytest.raises(OSError, match=r"agent\.log|No such device"):
        open_for_append(tmp_path / "agent.log")


def test_full_disk_is_counted_and_never_raised(open_log, monkeypatch):
    log = open_log()

    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        _say(log, "lost")
    _say(log, "kept")
    assert log.write_errors == 1
    assert log.path.read_text() == "kept\n"
