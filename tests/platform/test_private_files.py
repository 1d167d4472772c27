"""Database files belong to their owner alone, however they came to be."""

from __future__ import annotations

import os
import sqlite3
from types import SimpleNamespace

import pytest

from dialer_platform.storage.private_files import close_to_others


def connection(name: str, vendor: str = "sqlite") -> SimpleNamespace:
    return SimpleNamespace(vendor=vendor, settings_dict={"NAME": name})


@pytest.fixture
def database(tmp_path):
    """Return an open database with a write-ahead log, made under a careless umask."""
    before = os.umask(0o022)
    path = tmp_path / "dialer.sqlite3"
    opened = sqlite3.connect(path)
    opened.execute("PRAGMA journal_mode=WAL")
    opened.execute("CREATE TABLE t (x)")
    os.umask(before)
    yield path
    opened.close()


def modes(path) -> set[int]:
    return {found.stat().st_mode & 0o777 for found in path.parent.iterdir()}


def test_file_and_log_are_closed_to_others(database):
    assert modes(database) == {0o644}
    assert len(list(database.parent.iterdir())) == 3
    close_to_others(connection(str(database)))
    assert modes(database) == {0o600}


def test_log_made_later_has_the_rights_of_its_file(database):
    close_to_others(connection(str(database)))
    before = os.umask(0o022)
    with sqlite3.connect(database) as second:
        second.execute("INSERT INTO t VALUES (1)")
    os.umask(before)
    assert modes(database) == {0o600}


@pytest.mark.parametrize(
    ("name", "vendor"),
    [(":memory:", "sqlite"), ("file:x?mode=memory", "sqlite"), ("dialer", "postgresql")],
)
def test_what_is_no_file_is_left_alone(tmp_path, monkeypatch, name, vendor):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch(mode=0o644)
    (tmp_path / name).chmod(0o644)
    close_to_others(connection(name, vendor))
    assert modes(tmp_path / name) == {0o644}


def test_file_that_vanishes_is_no_error(tmp_path):
    close_to_others(connection(str(tmp_path / "gone")))
