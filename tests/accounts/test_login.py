"""Signing in: limits of guessing, the same answer for everybody, the way back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from django.utils import timezone

from dialer_platform.accounts.address import client_address, origin_of
from dialer_platform.accounts.models import AuditEvent, LoginAttempts
from dialer_platform.accounts.services import attempts
from tests.conftest import PASSWORD

URL = "/accounts/login/"


def sign_in(username: str, password: str, **headers):
    """Post the login form."""
    return Client(**headers).post(URL, {"username": username, "password": password})


def test_right_password_opens_the_console(admin_user):
    answer = sign_in("alice", PASSWORD)
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert AuditEvent.objects.filter(action="login", actor="alice").exists()


def test_session_key_changes_when_signing_in(admin_user):
    client = Client()
    client.cookies["dialer_session"] = "chosen-by-an-attacker"
    client.post(URL, {"username": "alice", "password": PASSWORD})
    assert client.cookies["dialer_session"].value != "chosen-by-an-attacker"


def test_wrong_password_and_unknown_user_get_the_same_answer(admin_user):
    wrong, unknown = sign_in("alice", "no"), sign_in("nobody", "no")
    assert wrong.status_code == unknown.status_code == 200
    errors = [answer.context["form"].errors for answer in (wrong, unknown)]
    assert errors[0] == errors[1]


def test_eleventh_guess_is_not_evaluated_even_if_right(admin_user):
    for _ in range(attempts.LIMIT):
        sign_in("alice", "wrong")
    assert sign_in("alice", PASSWORD).status_code == 200


def test_lock_ends_with_its_window(admin_user):
    for _ in range(attempts.LIMIT):
        sign_in("alice", "wrong")
    past = timezone.now() - timedelta(seconds=attempts.WINDOW_SECONDS + 1)
    LoginAttempts.objects.update(window_started_at=past)
    assert sign_in("alice", PASSWORD).status_code == 302


def test_success_forgives_earlier_failures(admin_user):
    for _ in range(attempts.LIMIT - 1):
        sign_in("alice", "wrong")
    assert sign_in("alice", PASSWORD).status_code == 302
    assert not LoginAttempts.objects.filter(key="account:alice").exists()


def test_account_is_locked_from_every_address(admin_user):
    for number in range(attempts.LIMIT):
        sign_in("Alice ", "wrong", REMOTE_ADDR=f"10.0.0.{number}")
    assert sign_in("alice", PASSWORD, REMOTE_ADDR="10.0.1.1").status_code == 200


def test_address_is_locked_for_every_account(admin_user):
    for number in range(attempts.LIMIT):
        sign_in(f"user{number}", "wrong")
    assert sign_in("alice", PASSWORD).status_code == 200
    assert sign_in("alice", PASSWORD, REMOTE_ADDR="10.0.1.1").status_code == 302


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", ""),
    ],
)
def test_addresses_of_one_client_are_counted_together(address, origin):
    assert origin_of(address) == origin


def test_typed_name_is_not_recorded(db):
    sign_in("hunter2-typed-by-mistake", "x")
    event = AuditEvent.objects.get(action="login.failed")
    assert "hunter2" not in f"{event.actor}{event.detail}{event.object_id}"


@pytest.mark.django_db(transaction=True)
def test_parallel_guesses_get_ten_looks():
    def reserve(_number):
        try:
            return attempts.reserve(username="alice", address="10.0.0.1")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(reserve, range(60)))
    assert results.count(True) == attempts.LIMIT


def test_old_windows_are_forgotten(db):
    attempts.reserve(username="a", address="b")
    assert attempts.forget_old() == 0
    LoginAttempts.objects.update(window_started_at=timezone.now() - timedelta(days=2))
    assert attempts.forget_old() == 2


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("10.0.0.9", "1.2.3.4", "10.0.0.9"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", "", "10.0.0.1"),
    ],
)
def test_forwarding_header_counts_only_from_trusted_proxies(settings, peer, forwarded, expected):
    settings.TRUSTED_PROXIES = frozenset({"10.0.0.1", "10.0.0.2"})
    request = RequestFactory(REMOTE_ADDR=peer).get("/", HTTP_X_FORWARDED_FOR=forwarded)
    assert client_address(request) == expected


def test_signing_out_ends_the_session(page_client, admin_user):
    client = page_client(admin_user)
    assert client.get("/accounts/logout/").status_code == 405
    assert client.post("/accounts/logout/").status_code == 302
    assert client.get("/admin/")["Location"].startswith(URL)


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:x"])
def test_foreign_target_is_ignored_after_signing_in(admin_user, target):
    answer = Client().post(
        f"{URL}?next={target}", {"username": "alice", "password": PASSWORD, "next": target}
    )
    assert answer["Location"] == "/"


def test_tenant_is_chosen_for_the_session(page_client, superuser, other_tenant):
    client = page_client(superuser)
    answer = client.post("/accounts/tenant/", {"tenant": "other", "next": "/accounts/x"})
    assert (answer.status_code, answer["Location"]) == (302, "/accounts/x")
    assert client.session["tenant_id"] == "other"


def test_foreign_tenant_looks_missing(page_client, admin_user, other_tenant):
    client = page_client(admin_user)
    assert client.post("/accounts/tenant/", {"tenant": "other"}).status_code == 404
