"""Reading the configuration file, and the upgrade that must never lose one."""

from __future__ import annotations

import json
import os

import pytest

from agent_client.config_file import (
    MAX_FILE_BYTES,
    completed_with,
    read_file,
    readable_by_others,
    upgrade_file,
)
from agent_client.errors import ConfigError

DEFAULTS = {"thread_pool": {"max_workers": 10, "task_timeout": 300}}


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("a.json", '{"a": 1}', {"a": 1}),
        ("a.json", '\ufeff{"a": 1}', {"a": 1}),
        ("a.yaml", "a: 1\n", {"a": 1}),
        ("a.conf", "a: {b: 2}\n", {"a": {"b": 2}}),
        ("a.yaml", "# nothing\n", {}),
        ("a.json", "", {}),
    ],
)
def test_read_file_returns_the_mapping(tmp_path, name, text, value):
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_file(tmp_path / name) == value


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"),
        ("a.json", b"[1]"),
        ("a.yaml", b"a: [1\n"),
        ("a.yaml", b"just words\n"),
        ("a.yaml", b"!!python/object/apply:os.getcwd []\n"),
        ("a.yaml", b"\xff\xfe\x00"),
        ("a.yaml", b"#" * (MAX_FILE_BYTES + 1)),
    ],
)
def test_read_file_refuses_what_holds_no_settings(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / name)
    assert caught.value.code == "config_unreadable"


def test_yaml_error_says_where_and_never_quotes_the_line(tmp_path):
    (tmp_path / "a.yaml").write_text("agent_token: 'dpa_hidden\n")
    with pytest.raises(ConfigError) as caught:
        read_file(tmp_path / "a.yaml")
    assert "line" in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_completed_with_adds_only_what_is_missing():
    data = {"x": 1, "thread_pool": {"max_workers": 3}}
    assert completed_with(data, DEFAULTS) == {
        "x": 1,
        "thread_pool": {"max_workers": 3, "task_timeout": 300},
    }
    assert data == {"x": 1, "thread_pool": {"max_workers": 3}}


@pytest.fixture
def old_file(tmp_path):
    """Return an older file with Chinese text and a mode of its own."""
    path = tmp_path / "agent_config.json"
    path.write_text('{"agent_name": "节点"}')
    path.chmod(0o600)
    return path


def test_upgrade_keeps_the_old_file_and_its_mode(old_file):
    old = old_file.read_bytes()
    backup = upgrade_file(old_file, {"agent_name": "节点"}, DEFAULTS)
    assert backup is not None
    assert backup.read_bytes() == old
    assert "节点" in old_file.read_text()
    assert [path.stat().st_mode & 0o777 for path in (old_file, backup)] == [0o600, 0o600]


def test_upgrade_does_nothing_when_nothing_is_missing(old_file):
    before = old_file.read_bytes()
    assert upgrade_file(old_file, dict(DEFAULTS), DEFAULTS) is None
    assert old_file.read_bytes() == before
    assert list(old_file.parent.iterdir()) == [old_file]


def test_upgrade_never_overwrites_an_earlier_backup(old_file):
    first = old_file.with_name("agent_config.json.bak")
    first.write_text("precious")
    backup = upgrade_file(old_file, {}, DEFAULTS)
    assert first.read_text() == "precious"
    assert backup == old_file.with_name("agent_config.json.bak.1")


def test_upgrade_follows_a_link_and_keeps_it(old_file, tmp_path):
    link = tmp_path / "link" / "agent_config.json"
    link.parent.mkdir()
    link.symlink_to(old_file)
    upgrade_file(link, {}, DEFAULTS)
    assert link.is_symlink()
    assert "thread_pool" in json.loads(old_file.read_text())


def test_upgrade_leaves_the_old_file_whole_when_writing_fails(old_file, monkeypatch):
    before = old_file.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: fail(descriptor))
    with pytest.raises(OSError, match="No space"):
        upgrade_file(old_file, {}, DEFAULTS)
    assert old_file.read_bytes() == before
    assert not list(old_file.parent.glob(".agent_config*"))


@pytest.mark.parametrize(("mode", "answer"), [(0o600, False), (0o640, True), (0o604, True)])
def test_readable_by_others_looks_at_group_and_world(old_file, mode, answer):
    old_file.chmod(mode)
    assert readable_by_others(old_file) is answer
