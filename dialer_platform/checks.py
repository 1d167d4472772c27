"""System checks: wrong settings stop the start with a remedy instead of failing later.

A server that only this machine can reach may be as simple as it likes; one that others
can reach must be behind TLS, without DEBUG, and with a key nobody can guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

from dialer_platform.launch import certificate

WEAK_KEY_CHARACTERS = 32
WEAK_KEY_SYMBOLS = 8
EXAMPLE_KEY_PREFIXES = ("django-insecure", "changeme", "secret")

PUBLIC_WITHOUT_TLS = Error(
    "The server would listen for other machines without TLS.",
    hint=(
        "Give it a certificate (DIALER_TLS_CERT, DIALER_TLS_KEY), or put it behind a proxy that "
        "speaks TLS and set DIALER_BEHIND_TLS=1, DIALER_TRUSTED_PROXIES and DIALER_ALLOWED_HOSTS, "
        "or keep DIALER_HOST=127.0.0.1. On a network you trust, DIALER_ALLOW_PLAIN_HTTP=1 says "
        "that you accept passwords crossing it unencrypted."
    ),
    id="dialer.E001",
)
PUBLIC_DEBUG = Error(
    "DIALER_DEBUG is on while other machines can reach the server.",
    hint="Error pages of DEBUG show internals: unset DIALER_DEBUG.",
    id="dialer.E002",
)
UNKNOWN_PROXY = Error(
    "The server is behind a proxy whose address it does not know.",
    hint=(
        "Set DIALER_TRUSTED_PROXIES to the proxy's address, such as 127.0.0.1: without it all "
        "people seem to come from the proxy, so ten wrong passwords of one lock everybody out."
    ),
    id="dialer.E004",
)
WEAK_KEY = Error(
    "The secret key is short, repetitive or a known example.",
    hint="Unset DIALER_SECRET_KEY (a strong one is made in the data directory), or use 50 "
    "random characters.",
    id="dialer.E003",
)
OPEN_DATA_DIR = Warning(
    "Others on this machine may read the data directory.",
    hint="chmod 700 on the data directory (`manage.py up` does it).",
    id="dialer.W001",
)


@register(Tags.security)
def check_reachability(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """Report a server that others reach without TLS, with DEBUG or by an unknown proxy."""
    if settings.IS_LOOPBACK and not settings.BEHIND_TLS:
        return []
    found: list[CheckMessage] = []
    if not (settings.BEHIND_TLS or settings.SERVES_TLS or settings.ALLOW_PLAIN_HTTP):
        found.append(PUBLIC_WITHOUT_TLS)
    if settings.BEHIND_TLS and not settings.TRUSTED_PROXIES:
        found.append(UNKNOWN_PROXY)
    if settings.DEBUG:
        found.append(PUBLIC_DEBUG)
    return found


@register(Tags.security)
def check_secret_key(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report a secret key that could be guessed."""
    return [WEAK_KEY] if is_weak(settings.SECRET_KEY) else []


@register(Tags.security)
def check_certificate(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report a certificate or key that the server could not use."""
    try:
        certificate.load(settings.TLS_CERT, settings.TLS_KEY)
    except certificate.Unusable as error:
        return [Error(str(error), hint=error.remedy, id="dialer.E005")]
    return []


@register(Tags.files)
def check_data_dir(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Report a data directory that is open to others."""
    path = settings.DIALER_DATA_DIR
    return [OPEN_DATA_DIR] if path.exists() and path.stat().st_mode & 0o077 else []


def is_weak(key: str) -> bool:
    """Tell whether a key is too short, too uniform or an example."""
    return (
        len(key) < WEAK_KEY_CHARACTERS
        or len(set(key)) < WEAK_KEY_SYMBOLS
        or key.lower().startswith(EXAMPLE_KEY_PREFIXES)
    )
