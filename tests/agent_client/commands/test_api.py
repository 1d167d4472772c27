"""The REST client: what it sends, what it repeats, and how errors end a command."""

from __future__ import annotations

import socket

import pytest

from agent_client.commands.api import ApiError, Client
from agent_client.commands.client_settings import ClientSettings
from agent_client.errors import Retryable, Terminal
from tests.agent_client.commands.conftest import TOKEN, Answer


@pytest.fixture
def client(server):
    """Return a client of the fake server."""
    with Client(ClientSettings(server.url, TOKEN)) as client:
        yield client


def test_request_carries_token_and_query(client, server):
    server.answer("GET tasks/", {"results": []})
    assert client.get("tasks/", status="waiting", page=None) == {"results": []}
    (request,) = server.requests
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.query == {"status": "waiting"}


def test_address_may_have_a_prefix(server):
    with Client(ClientSettings(server.url + "/dialer", TOKEN)) as client, pytest.raises(ApiError):
        client.get("tasks/")
    assert server.requests[0].path == "/dialer/api/v1/tasks/"


def test_connection_is_kept(client, server):
    server.answer("GET tasks/", {})
    client.get("tasks/")
    kept = client._connection.sock
    client.get("tasks/")
    assert client._connection.sock is kept


def test_closed_connection_is_made_anew(client, server):
    server.routes["GET tasks/"] = [Answer({"n": 1}), Answer(cut=True), Answer({"n": 2})]
    assert client.get("tasks/") == {"n": 1}
    assert client.get("tasks/") == {"n": 2}


def test_post_with_a_key_is_repeated_with_the_same_key(client, server):
    server.routes["POST tasks/"] = [Answer(cut=True), Answer({"id": 1}, 201)]
    assert client.post("tasks/", {}, idempotency_key="k") == {"id": 1}
    assert [request.headers["Idempotency-Key"] for request in server.requests] == ["k", "k"]


def test_post_without_a_key_is_never_repeated(client, server):
    server.answer("POST tasks/1/rerun/", cut=True)
    with pytest.raises(Retryable):
        client.post("tasks/1/rerun/")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "exit_code"), [(401, 4), (403, 5), (404, 5), (409, 5), (500, 5)]
)
def test_error_of_the_server_has_its_exit_code(client, server, status, exit_code):
    server.answer(
        "GET tasks/", {"code": "c", "detail": "No.", "fields": {"a": ["b"]}}, status=status
    )
    with pytest.raises(ApiError, match=r"No\.") as caught:
        client.get("tasks/")
    assert caught.value.exit_code == exit_code
    assert (caught.value.api_code, caught.value.fields) == ("c", {"a": ["b"]})


def test_error_page_of_a_proxy_is_told_by_its_status(client, server):
    server.answer("GET tasks/", b"<html>Bad gateway</html>", status=502)
    with pytest.raises(ApiError, match="HTTP 502"):
        client.get("tasks/")


@pytest.mark.parametrize(
    "answer", [Answer(b"<html>", 200), Answer(b"", 302, {"Location": "/accounts/login/"})]
)
def test_answer_that_is_not_of_the_api_is_terminal(client, server, answer):
    server.routes["GET tasks/"] = answer
    with pytest.raises(Terminal) as caught:
        client.get("tasks/")
    assert caught.value.code == "server_answer_invalid"


def test_overlong_answer_is_refused(client, server, monkeypatch):
    monkeypatch.setattr("agent_client.commands.api._MAX_ANSWER_BYTES", 10)
    server.answer("GET tasks/", b" " * 11)
    with pytest.raises(Terminal, match="too long"):
        client.get("tasks/")


def test_server_that_is_not_there_is_unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        with Client(ClientSettings(url, TOKEN)) as client, pytest.raises(Retryable) as caught:
            client.get("tasks/")
    assert str(caught.value) == f"cannot reach {url}: Connection refused"
    assert caught.value.exit_code == 3


def test_address_with_a_wrong_port_is_a_wrong_setting():
    with pytest.raises(Terminal, match="no valid port"):
        Client(ClientSettings("http://h:99999", TOKEN))
