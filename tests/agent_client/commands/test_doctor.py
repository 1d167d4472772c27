"""`doctor`: each thing that is wrong is named with its remedy; what is well is said too."""

from __future__ import annotations

import json

import pytest

from agent_client.policy import POLICY_FILE


@pytest.fixture(autouse=True)
def empty_place(monkeypatch, tmp_path):
    """Run in an empty directory with an empty home."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AGENT_CONFIG_FILE", raising=False)


def findings(run, tmp_path, *words: str) -> dict[str, list[str]]:
    """Return the remedies by subject; "" where it is well."""
    server = ("--server", "http://127.0.0.1:1")
    outcome = run("doctor", "--json", "--state-dir", str(tmp_path / "state"), *server, *words)
    found: dict[str, list[str]] = {}
    for one in json.loads(outcome.out):
        found.setdefault(one["subject"], []).append(one["remedy"])
    return found


def test_host_that_was_never_started_is_told_what_to_do(run, tmp_path):
    found = findings(run, tmp_path)
    assert "manage.py enroll" in found["identity"][0]
    assert "Check its address" in found["server"][0]
    assert "agent_client main" in found["agent"][0]
    assert found["configuration"] == [""]
    assert found["policy"] == [""]


def test_state_that_others_may_read_is_named(run, tmp_path):
    (tmp_path / "state").mkdir(mode=0o755)
    assert findings(run, tmp_path)["state"][0].startswith("Run: chmod 700")


def test_policy_that_is_not_trusted_is_named(run, tmp_path):
    (tmp_path / "state").mkdir(mode=0o700)
    policy = tmp_path / "state" / POLICY_FILE
    policy.write_text("work: [probes]\n")
    policy.chmod(0o666)
    assert findings(run, tmp_path)["policy"][0].startswith("Run: chmod 600")


def test_text_is_for_people_and_the_code_says_that_something_is_wrong(run, tmp_path):
    outcome = run("doctor", "--server", "http://127.0.0.1:1")
    assert outcome.code == 1
    assert outcome.out.startswith("ok   configuration: no file, defaults\n")
    assert "bad  server: http://127.0.0.1:1 does not answer" in outcome.out
