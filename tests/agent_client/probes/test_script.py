"""The script kind: exit codes, output, and nothing left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent_client.probes.kind import Finding
from agent_client.probes.registry import prepare
from tests.agent_client.probes.conftest import Probe, task
from tests.e2e.stack import wait_for


@pytest.mark.parametrize(
    ("script", "outcome", "reason"),
    [
        ("exit 0", "up", ""),
        ("echo broken >&2; exit 3", "down", "assertion"),
        ("exit 7", "degraded", "assertion"),
        ("kill -9 $$", "down", "assertion"),
    ],
)
def test_exit_code_is_the_verdict(probe: Probe, script: str, outcome: str, reason: str) -> None:
    found = probe("script", "db", script=script, degraded_code=7)
    assert (found.outcome, found.reason) == (outcome, reason)


def test_script_finds_the_target_in_its_environment(probe: Probe) -> None:
    found = probe("script", "a b; exit 9", script='echo "$PROBE_TARGET"')
    assert found.details["output"] == "a b; exit 9"


def test_everything_ends_when_the_time_is_over(probe: Probe, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    found = probe("script", "", 2.0, script=f"sleep 60 & echo $! > {note}; wait")
    assert (found.outcome, found.reason) == ("down", "timeout")
    left = Path(f"/proc/{int(note.read_text())}/cwd")
    # A killed process is gone when the kernel gets to it, not when kill() returns.
    wait_for(lambda: not left.exists())


def test_run_ends_with_the_shell_when_a_child_keeps_the_output_open(probe: Probe) -> None:
    assert probe("script", "", 3.0, script="sleep 60 & exit 0").outcome == "up"


def test_output_is_cut_when_there_is_too_much(probe: Probe) -> None:
    found = probe("script", "", script="head -c 5000000 /dev/zero | tr '\\0' x")
    assert (found.outcome, len(found.details["output"])) == ("up", 500)


def test_agents_own_environment_stays_hidden(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "AGENT_SECRET", "dpa_1")
    assert "dpa_1" not in probe("script", "", script="env").details["output"]


def test_error_when_the_host_denies_scripts() -> None:
    found = prepare(task("script", "", {"script": "id"}, 1), denied_kinds=frozenset({"script"}))
    assert isinstance(found, Finding)
    assert (found.outcome, found.reason) == ("error", "denied")
