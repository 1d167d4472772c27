"""History: a line a minute, read from the end, trimmed after a week."""

from __future__ import annotations

import json
import time

import pytest

from agents import history, hot
from agents.principal import AgentPrincipal
from tests.agents import wire

SPEAKER = AgentPrincipal("a-1", "default")


def write(*ages_seconds: float, extra: bytes = b"") -> None:
    """Write samples of these ages, oldest first."""
    path = history.path_of("a-1")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps({"time": int(time.time() - age), "cpu": 1.0}) for age in ages_seconds]
    path.write_bytes("".join(f"{line}\n" for line in lines).encode() + extra)


def test_sample_is_written_once_a_minute():
    hot.note_beat(SPEAKER, wire.beat("a-1"))
    assert (history.sample(), history.sample()) == (1, 0)
    assert history.history("a-1")[0]["cpu"] == 12.5


def test_silent_host_gets_no_samples(monkeypatch):
    hot.note_beat(SPEAKER, wire.beat("a-1"))
    later = time.monotonic() + 120
    monkeypatch.setattr(history.time, "monotonic", lambda: later)
    assert history.sample() == 0


def test_samples_of_the_wanted_minutes_are_read_in_order():
    write(7200, 1800, 60)
    assert len(history.history("a-1", minutes=60)) == 2
    assert len(history.history("a-1", minutes=600)) == 3


def test_torn_and_foreign_lines_are_skipped():
    write(60, extra=b'[1]\n{"time": "x"}\n\xff\n{"time": 17')
    assert len(history.history("a-1")) == 1


def test_host_without_history_has_none():
    assert history.history("a-2") == []


def test_lines_older_than_a_week_are_dropped():
    week = history.KEEP_SECONDS
    write(week + 300, week + 200, 60)
    history.trim("a-1")
    assert len(history.path_of("a-1").read_bytes().splitlines()) == 1


@pytest.mark.parametrize("name", ["../a", "a/b", "", "a" * 65, "a.b"])
def test_path_is_made_of_plain_ids_only(name):
    with pytest.raises(ValueError, match="not an agent id"):
        history.path_of(name)
