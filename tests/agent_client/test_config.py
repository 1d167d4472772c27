"""The merged configuration: names and defaults of the table, ranks, origins, warnings."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from agent_client.config import AgentConfig, http_url, load_config, ws_url
from agent_client.errors import ConfigError


@pytest.fixture
def load(tmp_path):
    """Return a loader in an empty directory with an empty home."""

    def run(argv=None, environ=None, **more) -> AgentConfig:
        environ = {"HOME": str(tmp_path / "home"), **(environ or {})}
        return load_config(argv or {}, environ, tmp_path, **more)

    return run


def _write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_agent_name_is_the_host_name_when_not_given(load):
    assert load().identification.agent_name == socket.gethostname()


def test_state_dir_is_in_the_home_when_not_given(load, tmp_path):
    assert load().state_dir == tmp_path / "home" / ".dialer-agent"


def test_rank_rises_from_file_over_environment_to_command_line(load, tmp_path):
    _write(tmp_path / "agent_config.json", {"task": {"heartbeat_interval": 3}})
    variable = {"AGENT_TASK_HEARTBEAT_INTERVAL": "4"}
    assert load().task.heartbeat_interval == 3
    assert load(environ=variable).task.heartbeat_interval == 4
    config = load({"task.heartbeat_interval": 5}, variable)
    assert config.task.heartbeat_interval == 5
    assert config.origins["task.heartbeat_interval"] == "command line"


def test_origin_names_file_and_variable(load, tmp_path):
    path = _write(tmp_path / "agent_config.json", {"language": "zh"})
    config = load(environ={"AGENT_TASK_MAX_CONCURRENT_TASKS": "9"})
    assert config.origins["language"] == f"file {path}"
    assert (
        config.origins["task.max_concurrent_tasks"] == "environment AGENT_TASK_MAX_CONCURRENT_TASKS"
    )


def test_absent_command_line_value_changes_nothing(load):
    assert load({"state_dir": None}).origins["state_dir"] == "default"


def test_home_yaml_is_read_when_there_is_no_file_here(load, tmp_path):
    path = tmp_path / "home" / ".ops-job-agent" / "config.yaml"
    _write(path, 'agent_server_url: "wss://a.example"\ntask:\n  max_concurrent_tasks: 7\n')
    config = load()
    assert config.connection.agent_server_url == "wss://a.example"
    assert config.task.max_concurrent_tasks == 7
    assert config.config_file == path


def test_file_here_wins_over_the_home_file(load, tmp_path):
    _write(tmp_path / "home" / ".ops-job-agent" / "config.yaml", "language: zh\n")
    _write(tmp_path / "agent_config.json", {"language": "en"})
    assert load().language == "en"


def test_named_file_wins_over_the_usual_places(load, tmp_path):
    _write(tmp_path / "agent_config.json", {"language": "en"})
    _write(tmp_path / "other.yaml", "language: zh\n")
    assert load(environ={"AGENT_CONFIG_FILE": "other.yaml"}).language == "zh"
    assert load({"config_file": str(tmp_path / "other.yaml")}).language == "zh"


def test_named_file_must_exist(load):
    with pytest.raises(ConfigError, match="No such file") as caught:
        load({"config_file": "missing.yaml"})
    assert caught.value.code == "config_unreadable"


def test_published_sample_file_is_understood(load, tmp_path):
    sample = """
agent_server_url: "wss://agent-server.example.com"
agent_server_backup_url: "wss://agent-server-backup.example.com"
ws_outbox_max_size: 1000
agent_name: "my-agent"
log_dir: "/var/log/ops-job-agent"
log_max_age: 7
task:
  max_execution_time_sec: 7200
resource_adaptive:
  enabled: true
logging:
  log_batch_size: -1
"""
    _write(tmp_path / "c.yaml", sample)
    config = load({"config_file": "c.yaml"})
    assert config.warnings == ()
    assert config.connection.servers == (
        "https://agent-server.example.com",
        "https://agent-server-backup.example.com",
    )
    assert config.task.max_execution_seconds == 7200
    assert config.logging.log_batch_size == 200
    assert config.logging.directory == Path("/var/log/ops-job-agent")
    assert config.resource_adaptive.enabled


def test_key_in_its_section_wins_over_the_same_key_at_the_top(load, tmp_path):
    _write(tmp_path / "c.json", {"logging": {"log_mode": "ERROR"}, "log_mode": "DEBUG"})
    assert load({"config_file": "c.json"}).logging.log_mode == "ERROR"


def test_relative_log_path_starts_at_the_file(load, tmp_path):
    _write(tmp_path / "etc" / "c.json", {"logging": {"log_path": "logs"}})
    assert load({"config_file": "etc/c.json"}).logging.directory == tmp_path / "etc" / "logs"


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ({"agent_server_ur": "x"}, "did you mean agent_server_url?"),
        ({"task": {"heartbeat_intervall": 3}}, "did you mean task.heartbeat_interval?"),
        ({"zzz": {"a": 1}}, "unknown setting zzz"),
    ],
)
def test_unknown_key_is_a_warning_with_the_nearest_name(load, tmp_path, content, hint):
    _write(tmp_path / "c.json", content)
    (warning,) = load({"config_file": "c.json"}).warnings
    assert hint in warning


def test_misspelt_variable_is_a_warning(load):
    (warning,) = load(environ={"AGENT_TASK_MAX_CONCURENT_TASKS": "3"}).warnings
    assert "did you mean AGENT_TASK_MAX_CONCURRENT_TASKS?" in warning


def test_variables_of_other_programs_are_left_alone(load):
    assert load(environ={"AGENT_OS": "Linux", "AGENT_VERSION": "3"}).warnings == ()


def test_empty_variable_counts_as_not_set(load):
    assert load(environ={"AGENT_STATE_DIR": ""}).origins["state_dir"] == "default"


def test_secret_is_read_from_the_file_that_a_variable_names(load, tmp_path):
    _write(tmp_path / "token", "dpe_secret\n")
    config = load(environ={"AGENT_ENROLL_TOKEN_FILE": "token"})
    assert config.enroll_token == "dpe_secret"
    assert config.origins["enroll_token"] == "environment AGENT_ENROLL_TOKEN_FILE"


def test_secret_given_twice_is_refused(load, tmp_path):
    _write(tmp_path / "token", "x")
    twice = {"AGENT_ENROLL_TOKEN": "y", "AGENT_ENROLL_TOKEN_FILE": "token"}
    with pytest.raises(ConfigError, match="given twice"):
        load(environ=twice)


@pytest.mark.parametrize("content", ["", "x" * 5000])
def test_secret_file_without_a_secret_is_refused(load, tmp_path, content):
    _write(tmp_path / "token", content)
    with pytest.raises(ConfigError, match="empty or too long"):
        load(environ={"AGENT_IDENTIFICATION_AGENT_TOKEN_FILE": "token"})


def test_missing_secret_file_is_refused(load):
    with pytest.raises(ConfigError, match="No such file"):
        load(environ={"AGENT_ENROLL_TOKEN_FILE": "nowhere"})


def test_file_with_a_secret_that_others_can_read_is_a_warning(load, tmp_path):
    path = _write(tmp_path / "c.json", {"agent_token": "dpa_x"})
    path.chmod(0o644)
    (warning,) = load({"config_file": "c.json"}).warnings
    assert f"chmod 600 {path}" in warning
    path.chmod(0o600)
    assert load({"config_file": "c.json"}).warnings == ()


def test_secrets_are_not_in_the_representation(load):
    secret = {"AGENT_ENROLL_TOKEN": "dpe_hidden", "AGENT_IDENTIFICATION_AGENT_TOKEN": "dpa_hidden"}
    assert "hidden" not in repr(load(environ=secret))


@pytest.mark.parametrize(
    ("environ", "key"),
    [
        ({"AGENT_TASK_HEARTBEAT_INTERVAL": "0"}, "task.heartbeat_interval"),
        ({"AGENT_LOGGING_LOG_MODE": "LOUD"}, "logging.log_mode"),
        ({"AGENT_LOGGING_LOG_NAME": "../x"}, "logging.log_name"),
        ({"AGENT_CONNECTION_WS_BACKOFF_MAX_MS": "10"}, "connection.ws_backoff_initial_ms"),
        ({"AGENT_RESOURCE_ADAPTIVE_CPU_LOW": "90"}, "resource_adaptive.cpu_low"),
        ({"AGENT_CONNECTION_AGENT_SERVER_URL": "nonsense"}, "connection.agent_server_url"),
    ],
)
def test_wrong_value_names_its_key(load, environ, key):
    with pytest.raises(ConfigError) as caught:
        load(environ=environ)
    assert caught.value.key == key
    assert caught.value.remedy


def test_section_that_is_no_section_is_refused(load, tmp_path):
    _write(tmp_path / "c.json", {"task": 5})
    with pytest.raises(ConfigError, match="is not a section"):
        load({"config_file": "c.json"})


def test_unknown_override_is_refused(load):
    with pytest.raises(ConfigError, match="not a setting"):
        load({"task.nothing": 1})


def test_empty_section_is_as_good_as_none(load, tmp_path):
    _write(tmp_path / "c.yaml", "task:\nlanguage: zh\n")
    assert load({"config_file": "c.yaml"}).language == "zh"


@pytest.mark.parametrize(
    ("given", "http", "ws"),
    [
        ("wss://h/x", "https://h/x", "wss://h/x"),
        ("WS://h", "http://h", "ws://h"),
        ("http://h:1", "http://h:1", "ws://h:1"),
        ("https://h", "https://h", "wss://h"),
    ],
)
def test_address_has_both_schemes(given, http, ws):
    assert (http_url(given), ws_url(given)) == (http, ws)


@pytest.mark.parametrize("key", ["agent_server_url", "agent_server_backup_url"])
@pytest.mark.parametrize("url", ["http://10.0.0.1:8000", "ws://dialer.example"])
def test_credential_goes_unencrypted_to_another_machine_only_when_it_may(load, key, url):
    variable = f"AGENT_CONNECTION_{key.upper()}"
    with pytest.raises(ConfigError, match="not encrypted") as caught:
        load(environ={variable: url})
    assert (caught.value.code, caught.value.key) == ("config_invalid", f"connection.{key}")
    assert "AGENT_CONNECTION_ALLOW_PLAIN_HTTP=1" in caught.value.remedy
    allowed = load(environ={variable: url, "AGENT_CONNECTION_ALLOW_PLAIN_HTTP": "1"})
    assert allowed.connection.exposed_servers == (http_url(url),)


def test_unencrypted_way_on_this_machine_needs_no_word(load):
    assert load().connection.exposed_servers == ()


def test_ws_servers_lists_main_address_before_backup(load):
    environ = {"AGENT_CONNECTION_AGENT_SERVER_BACKUP_URL": "https://b"}
    assert load(environ=environ).connection.ws_servers == ("ws://127.0.0.1:8000", "wss://b")


def test_flush_interval_is_zero_when_off(load):
    config = load(environ={"AGENT_LOGGING_LOG_FLUSH_INTERVAL": "0"})
    assert config.logging.flush_interval_seconds == 0


def test_older_file_is_upgraded_and_means_the_same(load, tmp_path):
    path = _write(tmp_path / "agent_config.json", {"agent_name": "old", "log_dir": "here"})
    config = load()
    assert config.logging.directory == tmp_path / "here"
    written = json.loads(path.read_text())
    assert written["thread_pool"] == {
        "max_workers": 10,
        "task_timeout": 300,
        "queue_size_limit": 100,
    }
    assert set(written["logging"]) == {"log_mode", "log_path", "log_name", "log_rotation"}
    again = load()
    assert (again.logging, again.thread_pool) == (
        replace_log_path(config, tmp_path / "here"),
        config.thread_pool,
    )
    assert again.warnings == ()


def replace_log_path(config: AgentConfig, path: Path):
    """Return the logging section with log_path given, as the upgrade writes it."""
    from dataclasses import replace

    return replace(config.logging, log_path=path)


def test_upgrade_is_announced_with_the_backup(load, tmp_path):
    _write(tmp_path / "agent_config.json", {"agent_name": "old"})
    (warning,) = load().warnings
    assert str(tmp_path / "agent_config.json.bak") in warning


def test_upgrade_does_not_happen_when_it_is_not_wanted(load, tmp_path):
    path = _write(tmp_path / "agent_config.json", {"agent_name": "old"})
    load(upgrade=False)
    assert json.loads(path.read_text()) == {"agent_name": "old"}


def test_file_that_cannot_be_upgraded_is_used_as_it_is(load, tmp_path, monkeypatch):
    _write(tmp_path / "agent_config.json", {"agent_name": "old"})

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("agent_client.config_sources.upgrade_file", refuse)
    config = load()
    assert config.identification.agent_name == "old"
    assert "could not be upgraded: Permission denied" in config.warnings[0]
