"""`main`: settings from the command line, the log in place, and every end an exit code."""

from __future__ import annotations

import logging
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

from agent_client.errors import ExitCode, Terminal


@pytest.fixture
def agent(monkeypatch, tmp_path):
    """Return a fake main agent: it runs `behave` and remembers its configuration."""
    fake = SimpleNamespace(config=None, behave=lambda: 0)

    def setup_main_agent(config, *, reload):
        fake.config = config
        return SimpleNamespace(run=lambda: fake.behave())

    module = ModuleType("agent_client.main_agent")
    module.setup_main_agent = setup_main_agent
    monkeypatch.setitem(sys.modules, "agent_client.main_agent", module)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.chdir(tmp_path)
    for name in ("AGENT_CONFIG_FILE", "AGENT_STATE_DIR", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AGENT_LOGGING_LOG_PATH", str(tmp_path / "logs"))
    level = logging.getLogger("agent_client").level
    yield fake
    logging.getLogger("agent_client").setLevel(level)


def test_flags_become_settings(agent, run, tmp_path):
    (tmp_path / "c.yaml").write_text("task:\n  max_concurrent_tasks: 8\n")
    run(
        *("main", "--server", "https://s", "--enroll", "dpe_x", "--name", "n"),
        *("--state-dir", "state", "--config", "c.yaml", "--log-mode", "debug"),
    )
    config = agent.config
    assert config.connection.agent_server_url == "https://s"
    assert config.enroll_token == "dpe_x"
    assert config.identification.agent_name == "n"
    assert config.state_dir == tmp_path / "state"
    assert config.task.max_concurrent_tasks == 8
    assert config.logging.log_mode == "DEBUG"


def test_exit_code_is_that_of_the_agent(agent, run):
    agent.behave = lambda: 6
    assert run("main").code == 6


@pytest.mark.parametrize(("server", "times"), [("http://10.0.0.1", 1), ("https://10.0.0.1", 0)])
def test_log_warns_once_of_an_unencrypted_way(agent, run, monkeypatch, server, times):
    monkeypatch.setenv("AGENT_CONNECTION_ALLOW_PLAIN_HTTP", "1")
    outcome = run("main", "--server", server, "--language", "en")
    assert outcome.err.count(f"[WARNING] the connection to {server} is not encrypted") == times


def test_log_tells_start_and_stop(agent, run, tmp_path):
    run("main", "--language", "zh")
    (path,) = (tmp_path / "logs").glob("agent.*.log")
    first, last = path.read_text().splitlines()
    assert "[INFO] Agent 启动 version=" in first
    assert last.endswith("[INFO] Agent 已停止")


def test_notes_of_the_configuration_reach_the_log(agent, run, monkeypatch):
    monkeypatch.setenv("AGENT_TASK_HEARTBEAT_INTERVALL", "3")
    assert "did you mean AGENT_TASK_HEARTBEAT_INTERVAL?" in run("main").err


def test_known_error_is_told_with_its_remedy(agent, run):
    def refuse():
        raise Terminal(code="credential_refused")

    agent.behave = refuse
    outcome = run("main")
    assert outcome.code == ExitCode.REFUSED
    assert "[ERROR] error credential_refused:" in outcome.err
    assert "enrol this host again" in outcome.err


def test_unexpected_error_is_told_with_its_traceback(agent, run):
    agent.behave = lambda: 1 // 0
    outcome = run("main")
    assert outcome.code == ExitCode.INTERNAL
    assert "ZeroDivisionError" in outcome.err


def test_interrupt_is_a_normal_end(agent, run):
    def interrupt():
        raise KeyboardInterrupt

    agent.behave = interrupt
    assert run("main").code == 0


def test_wrong_setting_ends_with_2_before_the_agent_starts(agent, run, monkeypatch):
    monkeypatch.setenv("AGENT_TASK_HEARTBEAT_INTERVAL", "often")
    outcome = run("main")
    assert outcome.code == 2
    assert "task.heartbeat_interval (environment AGENT_TASK_HEARTBEAT_INTERVAL)" in outcome.err
    assert agent.config is None
