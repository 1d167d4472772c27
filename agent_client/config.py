"""The agent's configuration: every setting with its default, its limits and its meaning.

`load_config` merges, in rising rank, defaults, one file, the environment (`AGENT_…`) and
the command line, checks every value once, and returns a frozen AgentConfig that the rest
of the agent trusts. Each value knows its origin. Names and defaults are those of the
published table; only the heartbeat is faster (2 s) and no time limit is imposed on tasks.
Never opens a socket and never writes, except the one-time upgrade of an older file.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from agent_client.addresses import is_exposed
from agent_client.config_sources import Candidate, file_candidates, gather
from agent_client.errors import ConfigError
from agent_client.settings import Setting, convert, declared, setting

LOG_MODES = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_FORMATS = ("text", "json")
LANGUAGES = ("auto", "zh", "en")
TRANSPORTS = ("auto", "websocket", "polling")
DEFAULT_LOG_BATCH_SIZE = 200
DEFAULT_STATE_DIR = Path("~/.dialer-agent")
# The published default. The logger refuses a directory that belongs to somebody else.
DEFAULT_LOG_DIR = Path("/tmp/ops-job-agent/logs")  # noqa: S108
_DAY_SECONDS = 86_400


def http_url(address: str) -> str:
    """Return a server address with the scheme of HTTP: ws becomes http, wss https."""
    scheme, separator, rest = address.partition("://")
    return {"ws": "http", "wss": "https"}.get(scheme.lower(), scheme.lower()) + separator + rest


def ws_url(address: str) -> str:
    """Return a server address with the scheme of WebSocket: http becomes ws, https wss."""
    scheme, separator, rest = address.partition("://")
    return {"http": "ws", "https": "wss"}.get(scheme.lower(), scheme.lower()) + separator + rest


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """Where the server is and how patiently it is looked for."""

    agent_server_url: str = setting("http://127.0.0.1:8000", "address", "address of the server")
    agent_server_backup_url: str = setting("", "address", "address to fall back to")
    ca_file: Path | None = setting(  # noqa: RUF009
        None, "path", "authorities that sign the server's certificate; else the public ones"
    )
    server_fingerprint: str = setting(
        "", "fingerprint", "SHA-256 of the server's certificate, the only one trusted then"
    )
    allow_plain_http: bool = setting(
        False, "truth", "send the credential to another machine unencrypted"
    )
    transport: str = setting(
        "auto", "choice", "auto prefers the WebSocket and falls back", choices=TRANSPORTS
    )
    ws_backoff_initial_ms: int = setting(
        1000, "integer", "first pause before a reconnect", minimum=1, maximum=600_000
    )
    ws_backoff_max_ms: int = setting(
        30_000, "integer", "longest pause before a reconnect", minimum=1, maximum=3_600_000
    )
    ws_max_retries: int = setting(
        6, "integer", "tries before the backup address", minimum=1, maximum=1_000_000
    )
    ws_outbox_max_size: int = setting(
        2000, "integer", "messages of up to 500 results kept on disk", minimum=10, maximum=1_000_000
    )

    @property
    def servers(self) -> tuple[str, ...]:
        """Return the addresses to try, best first, as http or https."""
        return tuple(
            http_url(url) for url in (self.agent_server_url, self.agent_server_backup_url) if url
        )

    @property
    def exposed_servers(self) -> tuple[str, ...]:
        """Return the addresses to which the credential goes unencrypted over a network."""
        return tuple(url for url in self.servers if is_exposed(url))

    @property
    def ws_servers(self) -> tuple[str, ...]:
        """Return the same addresses as ws or wss."""
        return tuple(ws_url(url) for url in self.servers)


@dataclass(frozen=True, slots=True)
class IdentificationConfig:
    """Who this host is; the token normally comes from enrolment, not from here."""

    agent_token: str = setting("", "text", "credential of this host", secret=True)
    agent_name: str = setting("", "text", "name of this host (its host name)")


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """Pace and limits of script tasks."""

    heartbeat_interval: float = setting(
        2.0, "number", "seconds between heartbeats", minimum=0.1, maximum=3600
    )
    max_concurrent_tasks: int = setting(
        5, "integer", "tasks that run at once", minimum=1, maximum=10_000
    )
    max_execution_time_sec: float = setting(
        0.0, "number", "longest run of a task in seconds, 0 = no limit", minimum=0
    )

    @property
    def max_execution_seconds(self) -> float | None:
        """Return the limit of a run, None when there is none."""
        return self.max_execution_time_sec or None


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """The agent's own log, and how task logs are flushed."""

    log_mode: str = setting("INFO", "choice", "least level that is logged", choices=LOG_MODES)
    log_dir: Path = setting(DEFAULT_LOG_DIR, "path", "directory of the log")  # noqa: RUF009
    log_path: Path | None = setting(None, "path", "the same; wins over log_dir")  # noqa: RUF009
    log_name: str = setting("agent", "text", "name of the log file, without .log")
    log_rotation: bool = setting(True, "truth", "one file per day")
    log_format: str = setting("text", "choice", "text for people, json", choices=LOG_FORMATS)
    log_compress: bool = setting(True, "truth", "compress files that are full")
    log_max_size: float = setting(
        10.0, "number", "largest size of a file in MB, 0 = any", minimum=0, maximum=100_000
    )
    log_max_files: int = setting(5, "integer", "older files kept", minimum=0, maximum=10_000)
    log_max_age: float = setting(7.0, "number", "days that files are kept, 0 = any", minimum=0)
    log_batch_size: int = setting(
        DEFAULT_LOG_BATCH_SIZE, "integer", "pieces of output per message, <= 0 means 200"
    )
    log_flush_interval: int = setting(
        200, "integer", "longest wait of output in ms, <= 0 = none", maximum=60_000
    )

    @property
    def directory(self) -> Path:
        """Return the directory of the log: log_path when given, else log_dir."""
        return self.log_path or self.log_dir

    @property
    def max_size_bytes(self) -> int:
        """Return the size at which a file is full, 0 for no limit."""
        return int(self.log_max_size * 1024 * 1024)

    @property
    def max_age_seconds(self) -> float:
        """Return how long a full file is kept, 0 for no limit."""
        return self.log_max_age * _DAY_SECONDS

    @property
    def flush_interval_seconds(self) -> float:
        """Return how long output may wait for more of it, 0 for not at all."""
        return max(self.log_flush_interval, 0) / 1000


@dataclass(frozen=True, slots=True)
class ResourceLimitConfig:
    """Limits on what the agent itself uses."""

    bandwidth_limit: float = setting(0.0, "number", "MB/s, 0 = no limit", minimum=0)


@dataclass(frozen=True, slots=True)
class ResourceAdaptiveConfig:
    """How the task limit follows the load of the host."""

    enabled: bool = setting(False, "truth", "adapt limits to the load")
    sample_interval_sec: float = setting(5.0, "number", "seconds between samples", minimum=0.1)
    cpu_high: float = setting(75.0, "number", "CPU % to step down", minimum=0, maximum=100)
    cpu_low: float = setting(55.0, "number", "CPU % to step up", minimum=0, maximum=100)
    load_high_factor: float = setting(1.2, "number", "load per core to step down", minimum=0)
    load_low_factor: float = setting(0.8, "number", "load per core to step up", minimum=0)
    min_factor: float = setting(0.3, "number", "smallest factor", minimum=0.01, maximum=1)
    step: float = setting(0.1, "number", "size of a step", minimum=0.01, maximum=1)
    cooldown_sec: float = setting(15.0, "number", "seconds between steps", minimum=0)
    min_bandwidth_mb: float = setting(1.0, "number", "least MB/s", minimum=0)


@dataclass(frozen=True, slots=True)
class ThreadPoolConfig:
    """The pool that runs dial tests."""

    max_workers: int = setting(10, "integer", "threads", minimum=1, maximum=1000)
    task_timeout: float = setting(300, "number", "seconds a run may take", minimum=0.1)
    queue_size_limit: int = setting(100, "integer", "runs that may wait", minimum=1)


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Where this host asks the agent how it is; the socket file is always there."""

    port: int = setting(
        0, "integer", "loopback port for health and metrics, 0 = none", minimum=0, maximum=65_535
    )


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Everything the agent is told; `origins` says where each value came from."""

    state_dir: Path = setting(DEFAULT_STATE_DIR, "path", "directory of the state")  # noqa: RUF009
    enroll_token: str = setting("", "text", "one-use token of the first start", secret=True)
    labels: Mapping[str, str] = setting({}, "labels", "labels tasks can ask for")
    language: str = setting("auto", "choice", "language of the log", choices=LANGUAGES)
    policy_file: Path | None = setting(None, "path", "what a server may ask of this host")  # noqa: RUF009
    connection: ConnectionConfig = field(default_factory=ConnectionConfig)
    identification: IdentificationConfig = field(default_factory=IdentificationConfig)
    task: TaskConfig = field(default_factory=TaskConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    resource_limit: ResourceLimitConfig = field(default_factory=ResourceLimitConfig)
    resource_adaptive: ResourceAdaptiveConfig = field(default_factory=ResourceAdaptiveConfig)
    thread_pool: ThreadPoolConfig = field(default_factory=ThreadPoolConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    origins: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    config_file: Path | None = None

    def value(self, key: str) -> Any:
        """Return the value of a dotted key, for example `task.heartbeat_interval`."""
        found: Any = self
        for part in key.split("."):
            found = getattr(found, part)
        return found


SECTIONS: Mapping[str, type] = MappingProxyType(
    {
        "connection": ConnectionConfig,
        "identification": IdentificationConfig,
        "task": TaskConfig,
        "logging": LoggingConfig,
        "resource_limit": ResourceLimitConfig,
        "resource_adaptive": ResourceAdaptiveConfig,
        "thread_pool": ThreadPoolConfig,
        "health": HealthConfig,
    }
)
SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        item.key: item
        for section, owner in {"": AgentConfig, **SECTIONS}.items()
        for item in declared(section, owner)
    }
)


def load_config(
    argv_overrides: Mapping[str, object],
    environ: Mapping[str, str],
    cwd: Path,
    *,
    upgrade: bool = True,
) -> AgentConfig:
    """Return the merged, checked configuration; raises ConfigError.

    argv_overrides maps dotted keys, and `config_file`, to values; None means not given.
    With upgrade an older agent_config.json gets the sections it lacks (a backup is kept).
    """
    home = Path(environ.get("HOME") or Path.home())
    sources = gather(
        SETTINGS,
        argv=argv_overrides,
        environ=environ,
        files=file_candidates(argv_overrides.get("config_file"), environ, cwd=cwd, home=home),
        cwd=cwd,
        upgrade=upgrade,
    )
    values, origins = _resolve(sources.candidates, cwd=cwd, home=home)
    config = replace(
        _build(values),
        origins=MappingProxyType(origins),
        warnings=sources.warnings,
        config_file=sources.file,
    )
    _check_together(config)
    return config


def _resolve(
    candidates: Mapping[str, Candidate], *, cwd: Path, home: Path
) -> tuple[dict[str, Any], dict[str, str]]:
    """Convert the winning candidate of every setting; absent ones take their default."""
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for key, item in SETTINGS.items():
        given = candidates.get(key)
        if given is None:
            values[key] = item.default
            origins[key] = "default"
        else:
            raw = _expand(given.raw, home) if item.rule.kind == "path" else given.raw
            values[key] = convert(item, raw, origin=given.origin, base=given.base or cwd)
            origins[key] = given.origin
    values["state_dir"] = Path(_expand(str(values["state_dir"]), home)).resolve()
    values["labels"] = MappingProxyType(dict(values["labels"]))
    values["identification.agent_name"] = values["identification.agent_name"] or (
        socket.gethostname() or "agent"
    )
    if values["logging.log_batch_size"] <= 0:
        values["logging.log_batch_size"] = DEFAULT_LOG_BATCH_SIZE
    return values, origins


def _expand(raw: Any, home: Path) -> Any:
    """Replace a leading ~ by the given home; users of other names are not looked up."""
    if isinstance(raw, str) and (raw == "~" or raw.startswith("~/")):
        return str(home) + raw[1:]
    return raw


def _build(values: Mapping[str, Any]) -> AgentConfig:
    """Put resolved values into their sections."""
    sections = {
        name: owner(**{item.name: values[item.key] for item in declared(name, owner)})
        for name, owner in SECTIONS.items()
    }
    return AgentConfig(
        **{item.name: values[item.key] for item in declared("", AgentConfig)}, **sections
    )


def _check_together(config: AgentConfig) -> None:
    """Refuse values that are right alone and wrong together."""
    pairs = (
        ("connection.ws_backoff_initial_ms", "connection.ws_backoff_max_ms"),
        ("resource_adaptive.cpu_low", "resource_adaptive.cpu_high"),
        ("resource_adaptive.load_low_factor", "resource_adaptive.load_high_factor"),
    )
    for low, high in pairs:
        if config.value(low) > config.value(high):
            raise ConfigError(
                low,
                config.origins[low],
                f"{config.value(low):g} is above {high} ({config.value(high):g})",
                f"Lower {low} or raise {high}.",
            )
    _check_encryption(config)
    if not config.connection.agent_server_url:
        key = "connection.agent_server_url"
        raise ConfigError(key, config.origins[key], "is empty", "Name the server's address.")
    if "/" in config.logging.log_name or config.logging.log_name in ("", ".", ".."):
        key = "logging.log_name"
        raise ConfigError(key, config.origins[key], "is not a file name", "Leave out slashes.")


def _check_encryption(config: AgentConfig) -> None:
    """Refuse to send a credential in clear to another machine, unless the owner wants it."""
    for name in ("agent_server_url", "agent_server_backup_url"):
        key = f"connection.{name}"
        if is_exposed(config.value(key)) and not config.connection.allow_plain_http:
            raise ConfigError(
                key,
                config.origins[key],
                f"{config.value(key)} is not encrypted: who listens gets this host's credential",
                "Use https://. On a network you trust: connection.allow_plain_http: true, or "
                "AGENT_CONNECTION_ALLOW_PLAIN_HTTP=1.",
            )
