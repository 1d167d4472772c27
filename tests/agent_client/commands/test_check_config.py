"""`check-config`: every setting with its origin, nothing changed, no secret shown."""

from __future__ import annotations

import json

import pytest

from agent_client.config import SETTINGS


@pytest.fixture(autouse=True)
def empty_place(monkeypatch, tmp_path):
    """Run in an empty directory with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AGENT_CONFIG_FILE", raising=False)


def test_every_setting_is_listed_with_its_origin(run):
    outcome = run("check-config", "--name", "n1")
    assert outcome.code == 0
    lines = {line.split()[0]: line for line in outcome.out.splitlines()[1:]}
    assert set(lines) == set(SETTINGS)
    assert lines["identification.agent_name"].split() == [
        *("identification.agent_name", "n1", "command", "line")
    ]
    assert lines["task.heartbeat_interval"].split()[1:] == ["2.0", "default"]


def test_json_has_file_settings_and_warnings(run, tmp_path):
    (tmp_path / "agent_config.json").write_text('{"nonsense": 1}')
    content = json.loads(run("check-config", "--json").out)
    assert content["file"] == str(tmp_path / "agent_config.json")
    assert content["settings"]["language"] == {"value": "auto", "origin": "default"}
    assert "unknown setting nonsense" in content["warnings"][0]


def test_secrets_are_not_shown(run, monkeypatch):
    monkeypatch.setenv("AGENT_ENROLL_TOKEN", "dpe_hidden")
    outcome = run("check-config")
    assert "hidden" not in outcome.out
    assert "(set)" in outcome.out


def test_nothing_is_written(run, tmp_path):
    (tmp_path / "agent_config.json").write_text("{}")
    run("check-config")
    assert [path.name for path in tmp_path.iterdir()] == ["agent_config.json"]
    assert (tmp_path / "agent_config.json").read_text() == "{}"


def test_warnings_go_to_stderr(run, monkeypatch):
    monkeypatch.setenv("AGENT_TASK_NOTHING", "1")
    assert "warning: unknown setting AGENT_TASK_NOTHING" in run("check-config").err


def test_wrong_setting_ends_with_2(run, monkeypatch):
    monkeypatch.setenv("AGENT_LANGUAGE", "fr")
    outcome = run("check-config")
    assert outcome.code == 2
    assert "Use one of: auto, zh, en." in outcome.err
