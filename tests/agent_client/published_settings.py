"""The table of settings of the published documents, copied as data, with another value each.

The last rows are the keys of the other document's agent_config.json. Where the product
differs from the table on purpose, `DIFFERENT_ON_PURPOSE` says so and nothing else may.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple


class Row(NamedTuple):
    """A row of the published table: variable, key in the file, default, and another value."""

    variable: str
    field: str
    default: Any
    other: Any


TABLE = (
    Row("AGENT_CONNECTION_AGENT_SERVER_URL", "agent_server_url", "ws://localhost:8080", "wss://a"),
    Row("AGENT_CONNECTION_AGENT_SERVER_BACKUP_URL", "agent_server_backup_url", "", "wss://b"),
    Row("AGENT_CONNECTION_WS_BACKOFF_INITIAL_MS", "ws_backoff_initial_ms", 1000, 70),
    Row("AGENT_CONNECTION_WS_BACKOFF_MAX_MS", "ws_backoff_max_ms", 30000, 40000),
    Row("AGENT_CONNECTION_WS_MAX_RETRIES", "ws_max_retries", 6, 2),
    Row("AGENT_CONNECTION_WS_OUTBOX_MAX_SIZE", "ws_outbox_max_size", 2000, 1000),
    Row("AGENT_IDENTIFICATION_AGENT_TOKEN", "agent_token", "", "dpa_x"),
    Row("AGENT_IDENTIFICATION_AGENT_NAME", "agent_name", os.uname().nodename, "my-agent"),
    Row("AGENT_LOGGING_LOG_DIR", "log_dir", Path("/tmp/ops-job-agent/logs"), Path("/var/log/x")),
    Row("AGENT_LOGGING_LOG_MAX_SIZE", "log_max_size", 10, 3),
    Row("AGENT_LOGGING_LOG_MAX_FILES", "log_max_files", 5, 9),
    Row("AGENT_LOGGING_LOG_MAX_AGE", "log_max_age", 7, 30),
    Row("AGENT_TASK_HEARTBEAT_INTERVAL", "task.heartbeat_interval", 10, 5),
    Row("AGENT_TASK_MAX_CONCURRENT_TASKS", "task.max_concurrent_tasks", 5, 8),
    Row("AGENT_TASK_MAX_EXECUTION_TIME_SEC", "task.max_execution_time_sec", 7200, 60),
    Row("AGENT_LOGGING_LOG_BATCH_SIZE", "logging.log_batch_size", 200, 50),
    Row("AGENT_LOGGING_LOG_FLUSH_INTERVAL", "logging.log_flush_interval", 200, 500),
    Row("AGENT_RESOURCE_LIMIT_BANDWIDTH_LIMIT", "resource_limit.bandwidth_limit", 0, 12),
    Row("AGENT_RESOURCE_ADAPTIVE_ENABLED", "resource_adaptive.enabled", False, True),
    Row(
        "AGENT_RESOURCE_ADAPTIVE_SAMPLE_INTERVAL_SEC", "resource_adaptive.sample_interval_sec", 5, 2
    ),
    Row("AGENT_RESOURCE_ADAPTIVE_CPU_HIGH", "resource_adaptive.cpu_high", 75, 90),
    Row("AGENT_RESOURCE_ADAPTIVE_CPU_LOW", "resource_adaptive.cpu_low", 55, 40),
    Row("AGENT_RESOURCE_ADAPTIVE_LOAD_HIGH_FACTOR", "resource_adaptive.load_high_factor", 1.2, 2.5),
    Row("AGENT_RESOURCE_ADAPTIVE_LOAD_LOW_FACTOR", "resource_adaptive.load_low_factor", 0.8, 0.5),
    Row("AGENT_RESOURCE_ADAPTIVE_MIN_FACTOR", "resource_adaptive.min_factor", 0.3, 0.2),
    Row("AGENT_RESOURCE_ADAPTIVE_STEP", "resource_adaptive.step", 0.1, 0.2),
    Row("AGENT_RESOURCE_ADAPTIVE_COOLDOWN_SEC", "resource_adaptive.cooldown_sec", 15, 3),
    Row("AGENT_RESOURCE_ADAPTIVE_MIN_BANDWIDTH_MB", "resource_adaptive.min_bandwidth_mb", 1, 4),
    # D9: the keys of the other document's agent_config.json.
    Row("AGENT_THREAD_POOL_MAX_WORKERS", "thread_pool.max_workers", 10, 3),
    Row("AGENT_THREAD_POOL_TASK_TIMEOUT", "thread_pool.task_timeout", 300, 20),
    Row("AGENT_THREAD_POOL_QUEUE_SIZE_LIMIT", "thread_pool.queue_size_limit", 100, 7),
    Row("AGENT_LOGGING_LOG_MODE", "logging.log_mode", "INFO", "ERROR"),
    Row("AGENT_LOGGING_LOG_PATH", "logging.log_path", None, Path("/var/log/y")),
    Row("AGENT_LOGGING_LOG_NAME", "logging.log_name", "agent", "other"),
    Row("AGENT_LOGGING_LOG_ROTATION", "logging.log_rotation", True, False),
)
DIFFERENT_ON_PURPOSE = {
    "AGENT_CONNECTION_AGENT_SERVER_URL": "http://127.0.0.1:8000",
    "AGENT_TASK_HEARTBEAT_INTERVAL": 2,
    "AGENT_TASK_MAX_EXECUTION_TIME_SEC": 0,
}
