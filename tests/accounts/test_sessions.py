"""A session ends with age and idleness, on pages, in the API and on sockets."""

from __future__ import annotations

import time

import pytest

from dialer_platform.accounts import sessions, sockets
from dialer_platform.accounts.models import User

HOUR = 3600.0


def age(client, *, signed_in: float = 0.0, used: float = 0.0) -> None:
    """Move a session's clocks back by that many seconds."""
    session = client.session
    session[sessions.SIGNED_IN_KEY] = time.time() - signed_in
    session[sessions.USED_KEY] = time.time() - used
    session.save()


@pytest.fixture
def browser(page_client, admin_user):
    """A signed-in browser."""
    return page_client(admin_user)


@pytest.mark.parametrize(
    ("signed_in", "used", "is_in"),
    [
        (11 * HOUR, 11 * HOUR, True),
        (13 * HOUR, 13 * HOUR, False),
        (167 * HOUR, 0.0, True),
        (169 * HOUR, 0.0, False),
    ],
)
@pytest.mark.parametrize("path", ["/tasks/", "/api/v1/tasks/"])
def test_session_ends_when_it_is_old_or_idle(browser, path, signed_in, used, is_in):
    age(browser, signed_in=signed_in, used=used)
    assert (browser.get(path).status_code == 200) is is_in
    assert ("_auth_user_id" in browser.session) is is_in


def test_session_that_is_over_holds_no_socket(browser, admin_user):
    key = browser.cookies["dialer_session"].value
    assert sockets._principal_of_key(key).user == admin_user
    age(browser, used=13 * HOUR)
    assert sockets._principal_of_key(key) is None


def test_use_prolongs_the_session_and_a_refreshing_page_does_not(browser):
    age(browser, used=11 * HOUR)
    browser.get("/tasks/", headers={"X-Fragment-Version": "1"})
    assert time.time() - browser.session[sessions.USED_KEY] > 10 * HOUR
    browser.get("/tasks/")
    assert time.time() - browser.session[sessions.USED_KEY] < HOUR


def test_use_is_not_written_with_every_page(browser):
    age(browser, used=60.0)
    before = browser.session[sessions.USED_KEY]
    browser.get("/tasks/")
    assert browser.session[sessions.USED_KEY] == before


def test_session_of_an_earlier_version_gets_its_clocks(browser):
    session = browser.session
    del session[sessions.SIGNED_IN_KEY], session[sessions.USED_KEY]
    session.save()
    assert browser.get("/tasks/").status_code == 200
    assert sessions.SIGNED_IN_KEY in browser.session


def test_signing_in_again_starts_the_clocks_anew(browser):
    age(browser, signed_in=169 * HOUR)
    browser.force_login(User.objects.get())
    assert browser.get("/tasks/").status_code == 200
