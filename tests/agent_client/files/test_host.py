"""What a transfer is told of its host: first of all what it may not touch."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent_client.config import load_config
from agent_client.files.host import told_to_transfers
from agent_client.transport.trust import Trust


def test_files_that_decide_what_the_agent_does_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.yaml").write_text(f"state_dir: {tmp_path}/state\npolicy_file: rules.yaml\n")
    config = load_config({"config_file": str(tmp_path / "own.yaml")}, {}, tmp_path)
    told = told_to_transfers(config, roots={}, trust=Trust())
    assert told["hidden"] == [
        str(tmp_path / name)
        for name in (
            "state",
            "own.yaml",
            "rules.yaml",
            "agent_config.json",
            "home/.ops-job-agent/config.yaml",
        )
    ]
