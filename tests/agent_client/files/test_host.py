"""What a transfer is told of its host: first of all what it may not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_client.config import load_config
from agent_client.files.host import PACKAGE, own_program, told_to_transfers
from agent_client.transport.trust import Trust


def test_files_that_decide_what_the_agent_does_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(f"state_dir: {tmp_path}/state\npolicy_file: rules.yaml\n")
    config = load_config({"config_file": str(tmp_path / "own.yaml")}, {}, tmp_path)
    told = told_to_transfers(config, roots={}, trust=Trust())
    assert told["hidden"][:5] == [
        str(tmp_path / name)
        for name in (
            "state",
            "own.yaml",
            "rules.yaml",
            "agent_config.json",
            "home/.ops-job-agent/config.yaml",
        )
    ]
    assert str(PACKAGE) in told["hidden"]


def test_program_of_the_agent_is_closed_wherever_its_state_is() -> None:
    prefixes = ("/opt/agent/versions/1", "/opt/python")
    found = list(own_program({"DIALER_AGENT_HOME": "/opt/agent"}, prefixes=prefixes))
    assert found == [Path("/opt/agent"), PACKAGE, *map(Path, prefixes)]
    assert (PACKAGE / "agent_client" / "files").is_dir()


def test_python_of_the_system_closes_nothing() -> None:
    assert list(own_program({}, prefixes=("/usr", "/usr"))) == [PACKAGE]
