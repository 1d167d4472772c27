"""The guard of a version on trial: time, bad ends, and the change to another version."""

from __future__ import annotations

import threading

import pytest

from agent_client.errors import ExitCode
from agent_client.upgrade.guard import SECONDS_VARIABLE, TrialGuard, guard_of_this_process
from agent_client.upgrade.installation import Installation


def guard_of(installation: Installation | None, seconds: float = 60.0):
    """Return a guard, and what tells that another version was begun."""
    begun = threading.Event()
    guard = TrialGuard(installation, welcome_seconds=seconds, become=lambda _one: begun.set())
    return guard, begun


def test_version_without_a_welcome_is_taken_back_in_time(old, new, release):
    old.open_trial(release)
    guard, begun = guard_of(new, seconds=0.05)
    guard.begin()
    assert begun.wait(10)
    failure = old.failure()
    assert failure is not None
    assert "did not welcome it within" in failure.detail


def test_welcome_ends_the_watch(old, new, release):
    old.open_trial(release)
    guard, begun = guard_of(new, seconds=0.2)
    guard.begin()
    new.confirm()
    assert not begun.wait(0.6)
    assert old.failure() is None


@pytest.mark.parametrize("code", [ExitCode.INTERNAL, ExitCode.USAGE, ExitCode.STORAGE])
def test_bad_end_during_the_trial_takes_the_version_back(old, new, release, code):
    old.open_trial(release)
    guard, begun = guard_of(new)
    guard.begin()
    guard.ended(code)
    assert begun.is_set()
    assert (old.home / "current").resolve() == old.folder


def test_good_end_and_an_end_without_trial_change_nothing(old, new, release):
    guard, begun = guard_of(old)
    guard.begin()
    guard.ended(ExitCode.INTERNAL)
    old.open_trial(release)
    guard, begun_on_trial = guard_of(new)
    guard.begin()
    guard.ended(ExitCode.OK)
    assert not begun.is_set()
    assert not begun_on_trial.is_set()


def test_restart_begins_the_current_version(old):
    guard, begun = guard_of(old)
    guard.ended(ExitCode.RESTART)
    assert begun.is_set()


def test_agent_outside_of_versions_has_nothing_to_guard():
    guard, begun = guard_of(None)
    guard.begin()
    guard.ended(ExitCode.RESTART)
    assert not begun.is_set()


@pytest.mark.parametrize("text", ["", "soon", "-5"])
def test_unusable_patience_is_no_reason_to_fail(monkeypatch, text):
    monkeypatch.setenv(SECONDS_VARIABLE, text)
    guard_of_this_process().ended(ExitCode.OK)
