"""Every URL, socket and raw endpoint is closed to strangers unless it is on the list."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from channels.testing import WebsocketCommunicator
from django.test import Client
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, resolve
from django.urls.resolvers import RoutePattern

from dialer_platform import routing
from dialer_platform.accounts.middleware import OPEN_ROUTES
from dialer_platform.asgi import application
from tests.agents.asgi_client import call

SAMPLES = {"int": "1", "str": "x", "slug": "x", "uuid": "0" * 8 + "-0000" * 3 + "-" + "0" * 12}
CONVERTER = re.compile(r"<(?:(\w+):)?\w+>")
NAMED_GROUP = re.compile(r"\(\?P<\w+>(?:[^()]|\([^()]*\))*\)")
CLOSED = {302, 401, 403}
METHODS = ("get", "post", "put", "patch", "delete")


def sample(pattern) -> str:
    """Return a path that the pattern matches, as far as it can be guessed."""
    if isinstance(pattern, RoutePattern):
        return CONVERTER.sub(lambda match: SAMPLES.get(match[1] or "str", "x"), str(pattern))
    text = NAMED_GROUP.sub("1", str(pattern).lstrip("^").rstrip("$"))
    return text.replace(r"\.", ".").replace("/?", "/").replace("\\Z", "")


def routes(resolver: URLResolver, prefix: str = "/") -> Iterator[tuple[str, URLPattern]]:
    """Yield a sample path and the pattern of every route."""
    for entry in resolver.url_patterns:
        path = prefix + sample(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from routes(entry, path)
        elif isinstance(entry, URLPattern):
            yield path, entry


ROUTES = list(routes(get_resolver()))
CLOSED_ROUTES = [
    (path, entry)
    for path, entry in ROUTES
    if (entry.name or "") not in OPEN_ROUTES or path.startswith("/admin/")
]


def test_the_walk_finds_the_routes_of_every_app():
    found = {path.split("/")[1] for path, _ in ROUTES}
    assert {"admin", "accounts", "api"} <= found


def test_nearly_every_sample_path_reaches_its_route():
    missed = [path for path, entry in ROUTES if not reaches(path, entry)]
    assert len(missed) <= len(ROUTES) // 20, missed


def reaches(path: str, entry: URLPattern) -> bool:
    """Tell whether the sample path resolves to that route."""
    try:
        return resolve(path).func == entry.callback
    except Resolver404:
        return False


@pytest.mark.parametrize("method", METHODS)
def test_no_stranger_gets_in(db, method):
    client = Client(raise_request_exception=False)
    opened = {}
    for path, entry in CLOSED_ROUTES:
        response = getattr(client, method)(path)
        is_login = response.status_code != 302 or "/login/" in response["Location"]
        if not (response.status_code in CLOSED and is_login) and reaches(path, entry):
            opened[path] = response.status_code
    assert not opened


def test_open_list_holds_nothing_that_is_not_there():
    names = {entry.name for _, entry in ROUTES}
    assert not (OPEN_ROUTES - names)


def test_fragment_is_told_to_go_to_the_login_page(db):
    response = Client(HTTP_HX_REQUEST="true").get("/admin/")
    assert (response.status_code, response["HX-Redirect"]) == (401, "/accounts/login/")


@pytest.mark.parametrize("route", routing.ROUTES, ids=lambda route: route.consumer)
@pytest.mark.django_db(transaction=True)
async def test_no_stranger_opens_a_socket(route):
    path = {
        "agents.consumers.AgentConsumer": "/ws/agent/a-0000000000",
        "dialer_platform.console.consumers.LiveConsumer": "/ws/live/",
        "tasks.consumers.LogConsumer": "/ws/tasks/1/log/",
    }[route.consumer]
    headers = [(b"host", b"localhost")]
    if route.is_for_browsers:
        headers.append((b"origin", b"http://localhost"))
    connected, _ = await WebsocketCommunicator(application, path, headers).connect()
    assert not connected


@pytest.mark.parametrize(
    "path", ["/ws/", "/ws/live", "/ws/live/x", "/ws/tasks/x/log/", "/ws/agent/"]
)
async def test_unknown_socket_path_is_refused_quietly(path):
    connected, _ = await WebsocketCommunicator(application, path).connect()
    assert not connected


def test_agent_endpoints_know_no_stranger(db):
    from agents import endpoints

    assert endpoints.route({"type": "http", "method": "GET", "path": "/api/v1/tasks/"}) is None


@pytest.mark.parametrize(
    ("method", "rest"),
    [("GET", ""), ("GET", "/content"), ("PUT", "/content"), ("POST", "/end")],
)
@pytest.mark.django_db(transaction=True)
async def test_no_stranger_moves_a_file(method, rest):
    answer = await call(method, f"/api/v1/transfers/{'0' * 24}{rest}", b"x")
    assert answer.status == 401
