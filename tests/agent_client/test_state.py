"""One agent per state directory, and an identity that survives."""

from __future__ import annotations

import os
import stat

import pytest

from agent_client.errors import ExitCode, Terminal
from agent_client.state import Identity, StateDirectory, write_durably

IDENTITY = Identity(instance_id="i", agent_id="a", agent_token="dpa_x", server="http://x")


@pytest.fixture
def state(tmp_path) -> StateDirectory:
    found = StateDirectory(tmp_path / "deep" / "state")
    found.lock()
    yield found
    found.close()


def test_directory_is_private_when_it_is_made(state):
    assert stat.S_IMODE(state.path.stat().st_mode) == 0o700


def test_directory_that_was_open_is_closed(tmp_path):
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    found = StateDirectory(tmp_path / "state")
    found.lock()
    found.close()
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o700


def test_second_agent_is_refused_when_the_directory_is_locked(state):
    with pytest.raises(Terminal) as caught:
        StateDirectory(state.path).lock()
    assert caught.value.exit_code == ExitCode.LOCKED
    assert str(os.getpid()) in caught.value.detail


def test_lock_is_free_when_the_first_agent_has_ended(state):
    state.close()
    state.close()
    second = StateDirectory(state.path)
    second.lock()
    second.close()


def test_start_fails_clearly_when_the_directory_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(Terminal) as caught:
        StateDirectory(tmp_path / "file" / "state").lock()
    assert caught.value.code == "state_unusable"


def test_identity_is_absent_when_the_host_has_not_registered(state):
    assert state.load_identity() is None


def test_identity_is_the_same_when_it_is_loaded_again(state):
    state.save_identity(IDENTITY)
    assert StateDirectory(state.path).load_identity() == IDENTITY


def test_identity_is_private_when_it_is_stored(state):
    state.save_identity(IDENTITY)
    assert stat.S_IMODE((state.path / "identity.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"agent_id": 3}'])
def test_broken_identity_is_an_error_when_it_is_loaded(state, content):
    (state.path / "identity.json").write_bytes(content)
    with pytest.raises(Terminal):
        state.load_identity()


def test_instance_is_made_once_when_it_is_asked_again(state):
    first = state.instance_id()
    assert len(first) == 32
    assert StateDirectory(state.path).instance_id() == first


def test_instances_differ_when_directories_do(state, tmp_path):
    other = StateDirectory(tmp_path)
    assert other.instance_id() != state.instance_id()


def test_old_content_stays_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "record"
    write_durably(path, b"old")

    def fail(descriptor: int) -> None:
        raise OSError(5, "input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="input/output"):
        write_durably(path, b"new")
    assert path.read_bytes() == b"old"


def test_failed_save_is_clear_when_the_disk_refuses(state, monkeypatch):
    def fail(descriptor: int) -> None:
        raise OSError(28, "no space left")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(Terminal) as caught:
        state.save_identity(IDENTITY)
    assert caught.value.exit_code == ExitCode.STORAGE
