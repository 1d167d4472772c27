"""What may be wrong with an installation, each finding with its remedy.

Every check stands alone and never raises: a broken part is a finding, not the end of the
report. Looks only; changes nothing.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from dialer_platform.accounts.models import User
from dialer_platform.housekeeping import lease
from dialer_platform.launch import address, certificate
from dialer_platform.models import JobRun

Level = Literal["ok", "warn", "fail"]

OLDEST_PYTHON = (3, 11)
WARN_FREE_BYTES = 5 * 1024**3
FAIL_FREE_BYTES = 512 * 1024**2
REDIS_SECONDS = 2.0
WARN_CERTIFICATE_DAYS = 30
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    name: str
    level: Level
    text: str
    remedy: str = ""


def findings() -> Iterator[Finding]:
    """Run every check in the order in which a person would mend things."""
    for check in CHECKS:
        try:
            yield check()
        except (OSError, DatabaseError) as error:
            name = check.__name__.removeprefix("check_").replace("_", " ")
            yield Finding(
                name,
                "fail",
                f"{type(error).__name__}: {error}",
                "Mend what the lines above say, then `manage.py up`.",
            )


def check_python() -> Finding:
    """Look at the interpreter's version."""
    text = sys.version.split()[0]
    if sys.version_info >= OLDEST_PYTHON:
        return Finding("python", "ok", text)
    return Finding("python", "fail", text, "Install Python 3.11 or newer.")


def check_data_directory() -> Finding:
    """Look at who may read the data directory."""
    path = settings.DIALER_DATA_DIR
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding("data directory", "warn", f"{path} has mode {mode:o}", f"chmod 700 {path}")
    return Finding("data directory", "ok", str(path))


def check_disk_space() -> Finding:
    """Look at the free space where logs are written."""
    free = shutil.disk_usage(settings.DIALER_DATA_DIR).free
    text = f"{free / GIB:.1f} GiB free"
    remedy = "Free some space, or set DIALER_DATA_DIR to a larger disk."
    if free < FAIL_FREE_BYTES:
        return Finding("disk space", "fail", text, remedy)
    if free < WARN_FREE_BYTES:
        return Finding("disk space", "warn", text, remedy)
    return Finding("disk space", "ok", text)


def check_settings() -> Finding:
    """Run the system checks that stop a start."""
    found = [message for message in checks.run_checks() if message.level >= checks.WARNING]
    if not found:
        return Finding("settings", "ok", "no complaints")
    worst = max(found, key=lambda message: message.level)
    level: Level = "fail" if worst.level >= checks.ERROR else "warn"
    return Finding("settings", level, worst.msg, worst.hint or "")


def check_certificate() -> Finding:
    """Look at the server's own certificate, and for how long it is valid."""
    try:
        own = certificate.load(settings.TLS_CERT, settings.TLS_KEY)
    except certificate.Unusable as error:
        return Finding("certificate", "fail", str(error), error.remedy)
    if own is None:
        return Finding("certificate", "ok", "none of its own")
    days = (own.expires_at - datetime.now(UTC)) / timedelta(days=1)
    text = f"valid until {own.expires_at:%Y-%m-%d}, SHA-256 {own.fingerprint}"
    remedy = "Renew it, and start the server again; agents that pin it need the new fingerprint."
    if days < 0:
        return Finding("certificate", "fail", text, remedy)
    return Finding("certificate", "warn" if days < WARN_CERTIFICATE_DAYS else "ok", text, remedy)


def check_database() -> Finding:
    """Ask the database something, and how safely it writes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        if connection.vendor != "sqlite":
            return Finding("database", "ok", connection.vendor)
        cursor.execute("PRAGMA journal_mode")
        mode = cursor.fetchone()[0]
        cursor.execute("PRAGMA quick_check(1)")
        health = cursor.fetchone()[0]
    if health != "ok":
        return Finding("database", "fail", health, "Restore the last backup of the database.")
    level: Level = "ok" if mode == "wal" else "warn"
    return Finding("database", level, f"SQLite, journal {mode}", "Use a local disk: WAL needs it.")


def check_migrations() -> Finding:
    """Compare the tables with the code."""
    missing = 0
    for database in connections.all():
        executor = MigrationExecutor(database)
        missing += len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    if missing:
        return Finding("tables", "fail", f"{missing} migrations missing", "manage.py up")
    return Finding("tables", "ok", "up to date")


def check_administrator() -> Finding:
    """Look for somebody who can enter."""
    if User.objects.filter(is_superuser=True, is_active=True).exists():
        return Finding("administrator", "ok", "there is one")
    return Finding("administrator", "fail", "nobody can administer this", "manage.py up")


def check_server() -> Finding:
    """Say whether something listens where the server should."""
    host, port = settings.DIALER_HOST, settings.DIALER_PORT
    try:
        address.require_free(host, port)
    except address.AddressUnusable:
        return Finding("server", "ok", f"something listens on {host}:{port}")
    return Finding("server", "warn", f"nothing listens on {host}:{port}", "manage.py up")


def check_housekeeping() -> Finding:
    """Look whether periodic work is being done and how it goes."""
    if not lease.is_fresh():
        remedy = "Start the server, or `manage.py housekeeping`."
        return Finding("housekeeping", "warn", "no process does it now", remedy)
    failing = list(JobRun.objects.exclude(error="").values_list("name", flat=True))
    if failing:
        text = "failing: " + ", ".join(failing)
        return Finding("housekeeping", "fail", text, "See the periodic jobs in the admin.")
    return Finding("housekeeping", "ok", "running")


def check_redis() -> Finding:
    """Reach for Redis if it is set; without it this is one process, which is fine."""
    if not settings.REDIS_URL:
        return Finding("redis", "ok", "not set: one server process")
    from redis import Redis, RedisError

    try:
        Redis.from_url(settings.REDIS_URL, socket_timeout=REDIS_SECONDS).ping()
    except (RedisError, OSError) as error:
        return Finding("redis", "fail", str(error), "Start Redis or mend REDIS_URL.")
    return Finding("redis", "ok", "answers")


CHECKS: tuple[Callable[[], Finding], ...] = (
    check_python,
    check_data_directory,
    check_disk_space,
    check_settings,
    check_certificate,
    check_database,
    check_migrations,
    check_administrator,
    check_server,
    check_housekeeping,
    check_redis,
)
