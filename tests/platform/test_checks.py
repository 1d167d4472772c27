"""System checks and headers: what an unsafe installation is told."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from dialer_platform import checks
from dialer_platform.middleware import POLICY, policy_for

STRONG = "kJ8#mQz2!vR5tY7uW9xA1bC3dE4fG6hI0jKlMnOpQrStUvWxYz"


def ids(messages) -> set[str]:
    """Return the ids of messages."""
    return {message.id for message in messages}


@pytest.mark.parametrize(
    ("loopback", "tls", "plain", "debug", "expected"),
    [
        (True, False, False, True, set()),
        (False, False, False, False, {"dialer.E001"}),
        (False, True, False, False, set()),
        (False, False, True, False, set()),
        (False, True, False, True, {"dialer.E002"}),
        (True, True, False, False, set()),
        (True, True, False, True, {"dialer.E002"}),
    ],
)
def test_reachable_server_needs_tls_and_no_debug(settings, loopback, tls, plain, debug, expected):
    settings.TRUSTED_PROXIES = frozenset({"127.0.0.1"})
    settings.IS_LOOPBACK, settings.BEHIND_TLS = loopback, tls
    settings.ALLOW_PLAIN_HTTP, settings.DEBUG = plain, debug
    assert ids(checks.check_reachability(None)) == expected


@pytest.mark.parametrize("loopback", [True, False])
def test_proxy_must_be_known(settings, loopback):
    settings.IS_LOOPBACK, settings.BEHIND_TLS = loopback, True
    settings.TRUSTED_PROXIES = frozenset()
    assert ids(checks.check_reachability(None)) == {"dialer.E004"}


@pytest.mark.parametrize("key", ["short", "a" * 60, "django-insecure-" + STRONG, "ab" * 40])
def test_guessable_key_stops_the_start(settings, key):
    settings.SECRET_KEY = key
    assert ids(checks.check_secret_key(None)) == {"dialer.E003"}


def test_random_key_is_accepted(settings):
    settings.SECRET_KEY = STRONG
    assert not checks.check_secret_key(None)


@pytest.mark.parametrize(("mode", "expected"), [(0o700, set()), (0o755, {"dialer.W001"})])
def test_open_data_directory_is_reported(settings, tmp_path, mode, expected):
    tmp_path.chmod(mode)
    settings.DIALER_DATA_DIR = tmp_path
    assert ids(checks.check_data_dir(None)) == expected


def test_policy_allows_nothing_inline():
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


@pytest.mark.parametrize(("is_secure", "scheme"), [(False, "ws"), (True, "wss")])
def test_policy_allows_the_own_socket_only(is_secure, scheme):
    request = RequestFactory().get("/", secure=is_secure)
    assert policy_for(request).endswith(f"connect-src 'self' {scheme}://testserver")


def test_policy_ignores_a_foreign_host_header():
    assert policy_for(RequestFactory().get("/", HTTP_HOST="evil.example")) == POLICY


def test_every_answer_carries_the_policy_and_the_api_is_not_kept(client, db):
    page, api = client.get("/accounts/login/"), client.get("/api/v1/tokens/")
    assert page["Content-Security-Policy"].startswith("default-src 'self'")
    assert page["X-Frame-Options"] == "DENY"
    assert api["Cache-Control"] == "no-store"
    assert api["X-Content-Type-Options"] == "nosniff"
