"""The one client that fetches what people typed in."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from tasks.alerts import guarded_http
from tasks.alerts.guarded_http import Denied, Unreachable, permitted

FORBIDDEN = (
    "169.254.169.254",
    "fe80::1%eth0",
    "100.100.100.200",
    "fd00:ec2::254",
    "0.0.0.0",
    "224.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "::",
)


@pytest.mark.parametrize("address", FORBIDDEN)
def test_metadata_and_the_like_are_denied(address: str) -> None:
    with pytest.raises(Denied):
        permitted([address])


@pytest.mark.parametrize("address", ["10.0.0.5", "192.168.1.9", "93.184.216.34", "2606:4700::1"])
def test_private_and_public_addresses_are_allowed(address: str) -> None:
    assert permitted([address]) == [address]


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_loopback_follows_the_setting(settings, address: str) -> None:
    settings.ALERTS_MAY_REACH_LOOPBACK = True
    assert permitted([address])
    settings.ALERTS_MAY_REACH_LOOPBACK = False
    with pytest.raises(Denied):
        permitted([address])


def test_denied_answers_of_a_name_are_left_out() -> None:
    assert permitted(["169.254.169.254", "10.0.0.5"]) == ["10.0.0.5"]


def test_connection_goes_to_the_address_that_was_checked(receiver) -> None:
    port = int(receiver.url.split(":")[2].split("/")[0])
    answers = [[(socket.AF_INET, 0, 0, "", ("127.0.0.1", port))]]

    def resolve(*_: object) -> list[tuple[object, ...]]:
        return answers.pop()  # a second look-up would fail

    with guarded_http.connect("rebind.example", port, timeout=1, resolve=resolve) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)


@pytest.mark.parametrize("url", ["http://169.254.169.254/", "http://[::ffff:a9fe:a9fe]/"])
def test_post_to_metadata_is_denied(url: str) -> None:
    with pytest.raises(Denied):
        guarded_http.post(url, body=b"{}", headers={})


def test_redirect_is_not_followed(receiver) -> None:
    receiver.status, receiver.headers_sent = 307, {"Location": "http://169.254.169.254/"}
    assert guarded_http.post(receiver.url, body=b"{}", headers={}).status == 307
    assert len(receiver.got) == 1


def test_proxy_of_the_environment_is_not_used(receiver, monkeypatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert guarded_http.post(receiver.url, body=b"{}", headers={}).status == 200


def test_answer_is_read_up_to_its_limit(receiver) -> None:
    receiver.answer = b"x" * 1_000_000
    answer = guarded_http.post(receiver.url, body=b"{}", headers={})
    assert len(answer.body) == guarded_http.MAX_ANSWER_BYTES


def test_closed_port_is_unreachable() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/secret-token"
        with pytest.raises(Unreachable) as caught:
            guarded_http.post(url, body=b"{}", headers={})
    assert "secret-token" not in str(caught.value)


def test_dripping_answer_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_drip, args=(server,), daemon=True).start()
        started = time.monotonic()
        with pytest.raises(Unreachable, match="time limit"):
            url = f"http://127.0.0.1:{server.getsockname()[1]}/"
            guarded_http.post(url, body=b"{}", headers={}, deadline=0.3)
    assert time.monotonic() - started < 5


def _drip(server: socket.socket) -> None:
    """Send one byte of a header every 20 ms for ever."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        try:
            while True:
                connection.sendall(b"x")
                time.sleep(0.02)
        except OSError:
            return
