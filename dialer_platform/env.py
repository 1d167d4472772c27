"""Typed access to the environment: `NAME` or the content of the file in `NAME_FILE`.

Promises that a wrong value stops the start with the variable's name and what is
allowed; never falls back silently. Reads nothing but the mapping it is given.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import ParseResult, parse_qsl, unquote, urlparse

from django.core.exceptions import ImproperlyConfigured

TRUE_WORDS = frozenset({"1", "true", "yes", "on"})
FALSE_WORDS = frozenset({"0", "false", "no", "off", ""})


def text(name: str, default: str = "", *, environ: Mapping[str, str] = os.environ) -> str:
    """Return the variable, or the stripped content of the file that NAME_FILE names."""
    if name in environ:
        return environ[name]
    file_name = environ.get(f"{name}_FILE")
    if not file_name:
        return default
    try:
        return Path(file_name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: cannot read {file_name}: {error}") from error


def integer(name: str, default: int, *, environ: Mapping[str, str] = os.environ) -> int:
    """Return the variable as a whole number; raises ImproperlyConfigured otherwise."""
    raw = text(name, str(default), environ=environ)
    try:
        return int(raw)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={raw!r} is not a whole number") from error


def boolean(name: str, default: bool, *, environ: Mapping[str, str] = os.environ) -> bool:
    """Return the variable as a switch; raises ImproperlyConfigured for other words."""
    raw = text(name, "1" if default else "0", environ=environ).strip().lower()
    if raw in TRUE_WORDS:
        return True
    if raw in FALSE_WORDS:
        return False
    raise ImproperlyConfigured(f"{name}={raw!r} is not a switch: use 1 or 0")


def words(name: str, default: str = "", *, environ: Mapping[str, str] = os.environ) -> list[str]:
    """Return the comma-separated entries of the variable without blanks."""
    return [
        part.strip() for part in text(name, default, environ=environ).split(",") if part.strip()
    ]


def postgres_from_url(url: str) -> dict[str, object]:
    """Return Django's database entry for a postgres:// URL; raises ImproperlyConfigured.

    Django gives every ASGI request its own thread and so its own connection; without the
    pool a small page costs twice the time.
    """
    parsed = urlparse(url)
    if parsed.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured("DATABASE_URL must begin with postgres:// (absent: SQLite)")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parsed.path.lstrip("/")),
        "USER": unquote(parsed.username or ""),
        "PASSWORD": unquote(parsed.password or ""),
        "HOST": parsed.hostname or "",
        "PORT": _port(parsed),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "pool": {"min_size": 1, "max_size": 12, "timeout": 10},
            **dict(parse_qsl(parsed.query)),
        },
    }


def _port(parsed: ParseResult) -> str:
    """Return the port as Django wants it; raises ImproperlyConfigured when it is no number."""
    try:
        return str(parsed.port or "")
    except ValueError as error:
        raise ImproperlyConfigured("DATABASE_URL has a port that is not a number") from error
