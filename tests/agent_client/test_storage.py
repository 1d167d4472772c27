"""The report of what lies on the disk: every kind once, each with its bytes and its bound."""

from __future__ import annotations

import pytest

from agent_client.config import load_config
from agent_client.storage import report


def test_each_kind_is_measured_apart(tmp_path):
    config = load_config(
        {"state_dir": str(tmp_path), "logging.log_dir": str(tmp_path / "logs")},
        {"HOME": str(tmp_path)},
        tmp_path,
    )
    sizes = {
        "tasks/here-1-1/output": 10,
        "tasks/.trash-x/output": 20,
        "outbox/0001": 30,
        "versions/1.0/lib": 40,
        "plugins/demo/state/cache": 60,
        "logs/agent.log": 50,
        "logs/agent.2026.01.02.3.log.gz": 5,
        "logs/of-another-program.log": 1000,
    }
    for name, size in sizes.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * size)
    found = {one.name: one.size_bytes for one in report(config, "here")}
    assert found == {
        "tasks": 10,
        "orphans": 0,
        "trash": 20,
        "outbox": 30,
        "plugins": 60,
        "versions": 40,
        "logs": 55,
    }


@pytest.mark.parametrize("key", ["log_path", "log_dir"])
def test_log_is_measured_where_it_is_and_where_it_falls_back_to(tmp_path, key):
    config = load_config(
        {"state_dir": str(tmp_path / "state"), f"logging.{key}": str(tmp_path / "here")},
        {"HOME": str(tmp_path), "AGENT_LOGGING_LOG_NAME": "n"},
        tmp_path,
    )
    for place, size in (("here", 7), ("state/logs", 4)):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "n.log").write_bytes(b"x" * size)
    [logs] = [one for one in report(config, "") if one.name == "logs"]
    assert logs.size_bytes == 11
    assert logs.bound == "5 older files of 10 MB, 7 days"


def test_host_that_never_started_keeps_nothing(tmp_path):
    config = load_config(
        {"state_dir": str(tmp_path / "none"), "logging.log_dir": str(tmp_path / "logs")},
        {"HOME": str(tmp_path)},
        tmp_path,
    )
    assert {one.size_bytes for one in report(config, "")} == {0}
    assert all(one.bound for one in report(config, ""))
