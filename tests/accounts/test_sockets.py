"""Browser sockets: own origin, a session, and both judged again while open."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from channels.db import database_sync_to_async
from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import CookieMiddleware
from channels.testing import WebsocketCommunicator
from django.test import Client

from dialer_platform.accounts import sockets
from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import Membership, Tenant, User

pytestmark = pytest.mark.django_db(transaction=True)


async def echo_principal(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accept, say who is there and wait for the end."""
    await receive()
    await send({"type": "websocket.accept"})
    principal = scope["principal"]
    await send({"type": "websocket.send", "text": f"{principal.name} {principal.tenant_id}"})
    while (await receive())["type"] != "websocket.disconnect":
        pass


application = AllowedHostsOriginValidator(
    CookieMiddleware(sockets.PrincipalSocketMiddleware(echo_principal))
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """Look again after a moment instead of seconds."""
    monkeypatch.setattr(sockets, "RECHECK_SECONDS", 0.02)


@pytest.fixture
def browser() -> Client:
    """Return a signed-in browser."""
    tenant = Tenant.objects.get_or_create(id="default", defaults={"name": "Default"})[0]
    user = User.objects.create(username="vera")
    Membership.objects.create(user=user, tenant=tenant, role=Role.VIEWER)
    client = Client()
    client.force_login(user)
    return client


def socket(browser: Client | None, origin: str | None = "http://localhost") -> Any:
    """Return a socket opened by the browser from a page of that origin."""
    headers = [(b"host", b"localhost")]
    if origin:
        headers.append((b"origin", origin.encode()))
    if browser:
        key = browser.cookies["dialer_session"].value
        headers.append((b"cookie", f"dialer_session={key}".encode()))
    return WebsocketCommunicator(application, "/ws/live/", headers)


async def closing_code(communicator: Any) -> int:
    """Wait until the server closes the socket and return its code."""
    async with asyncio.timeout(5):
        while True:
            message = await communicator.receive_output(5)
            if message["type"] == "websocket.close":
                return message["code"]


async def test_signed_in_person_is_known_to_the_consumer(browser):
    communicator = socket(browser)
    assert (await communicator.connect())[0]
    assert await communicator.receive_from() == "vera default"
    await communicator.disconnect()


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://localhost:81", "http://127.0.0.1", "null", None]
)
async def test_foreign_or_missing_origin_is_refused(browser, origin):
    assert not (await socket(browser, origin).connect())[0]


async def test_trusted_origin_of_forms_is_accepted(browser, settings):
    settings.CSRF_TRUSTED_ORIGINS = ["https://localhost:8443"]
    communicator = socket(browser, "https://localhost:8443")
    assert (await communicator.connect())[0]
    await communicator.disconnect()


async def test_stranger_is_refused():
    assert not (await socket(None).connect())[0]


async def test_made_up_session_is_refused(browser):
    browser.cookies["dialer_session"] = "0" * 32
    assert not (await socket(browser).connect())[0]


async def test_socket_closes_when_the_session_ends(browser):
    communicator = socket(browser)
    await communicator.connect()
    await database_sync_to_async(browser.logout)()
    assert await closing_code(communicator) == sockets.UNAUTHENTICATED_CLOSE_CODE


@pytest.mark.parametrize(
    "change",
    [
        lambda: Membership.objects.update(role=Role.ADMIN),
        lambda: Membership.objects.all().delete(),
        lambda: User.objects.update(is_active=False),
        lambda: User.objects.update(password="changed"),
    ],
    ids=["role", "membership", "disabled", "password"],
)
async def test_socket_closes_when_rights_change(browser, change):
    communicator = socket(browser)
    await communicator.connect()
    await database_sync_to_async(change)()
    assert await closing_code(communicator) == sockets.UNAUTHENTICATED_CLOSE_CODE


async def test_one_socket_too_many_is_closed_with_its_code(browser, monkeypatch):
    monkeypatch.setattr(sockets, "MAX_SOCKETS_PER_USER", 2)
    opened = [socket(browser), socket(browser)]
    for one in opened:
        assert (await one.connect())[0]
    surplus = socket(browser)
    assert (await surplus.connect())[0]
    assert await surplus.receive_output() == {
        "type": "websocket.close",
        "code": sockets.TOO_MANY_CLOSE_CODE,
    }
    await opened[0].disconnect()
    again = socket(browser)
    assert (await again.connect())[0]
    assert (await again.receive_from()).startswith("vera")
    for one in (opened[1], again):
        await one.disconnect()
    assert not sockets._open
