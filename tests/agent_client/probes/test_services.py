"""Kinds that speak a service's first words: each healthy, refusing, and not itself."""

from __future__ import annotations

import base64
import hashlib
import socket
import struct

import pytest

from tests.agent_client.probes.certificates import Authority
from tests.agent_client.probes.conftest import Handler, Probe, Serve, closed_port, drain, hang

GARBAGE = b"\x00\xff\x13garbage\r\n" * 40
KINDS = ("tls", "smtp", "ssh", "postgresql", "mysql", "redis", "websocket")


def saying(*lines: bytes) -> Handler:
    """Say something at once, and one thing more after each request."""

    def handle(connection: socket.socket) -> None:
        for line in lines:
            connection.sendall(line)
            if not connection.recv(65_536):
                return

    return handle


def after_request(content: bytes) -> Handler:
    return saying(b"", content)


def target(kind: str, port: int) -> str:
    return f"ws://127.0.0.1:{port}/live" if kind == "websocket" else f"127.0.0.1:{port}"


@pytest.mark.parametrize("kind", KINDS)
def test_down_when_the_service_talks_garbage(probe: Probe, serve: Serve, kind: str) -> None:
    found = probe(kind, target(kind, serve(saying(GARBAGE))))
    assert found.outcome == "down"
    assert found.reason in ("protocol", "tls", "reset")


@pytest.mark.parametrize("kind", KINDS)
def test_down_when_the_service_says_nothing(probe: Probe, serve: Serve, kind: str) -> None:
    found = probe(kind, target(kind, serve(hang)), timeout=0.4)
    assert (found.outcome, found.reason) == ("down", "timeout")


@pytest.mark.parametrize("kind", KINDS)
def test_down_when_the_service_closes_at_once(probe: Probe, serve: Serve, kind: str) -> None:
    found = probe(kind, target(kind, serve(lambda _: None)))
    assert found.outcome == "down"
    assert found.reason in ("protocol", "reset")


@pytest.mark.parametrize("kind", KINDS)
def test_down_when_nothing_listens(probe: Probe, kind: str) -> None:
    assert probe(kind, target(kind, closed_port())).reason == "refused"


def test_ssh_up_when_it_names_itself(probe: Probe, serve: Serve) -> None:
    port = serve(saying(b"welcome\r\nSSH-2.0-OpenSSH_9.9 test\r\n"))
    found = probe("ssh", f"127.0.0.1:{port}", banner_regex="OpenSSH_9")
    assert (found.outcome, found.details["banner"]) == ("up", "SSH-2.0-OpenSSH_9.9 test")
    assert probe("ssh", f"127.0.0.1:{port}", banner_regex="Dropbear").reason == "assertion"


def test_redis_up_when_it_answers_ping(probe: Probe, serve: Serve) -> None:
    assert probe("redis", f"127.0.0.1:{serve(after_request(b'+PONG' + NL))}").outcome == "up"


NL = b"\r\n"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(b"-NOAUTH Authentication required.", "up"), (b"-LOADING Redis is loading", "down")],
)
def test_redis_judged_by_its_refusal(
    probe: Probe, serve: Serve, answer: bytes, outcome: str
) -> None:
    found = probe("redis", f"127.0.0.1:{serve(after_request(answer + NL))}")
    assert found.outcome == outcome


def test_redis_down_when_the_password_is_wrong(probe: Probe, serve: Serve) -> None:
    port = serve(after_request(b"-WRONGPASS invalid" + NL))
    found = probe("redis", f"127.0.0.1:{port}", password="secret")
    assert found.reason == "assertion"
    assert "secret" not in repr(found)


def greeting(version: bytes) -> bytes:
    packet = b"\x0a" + version + b"\0" + bytes(40)
    return len(packet).to_bytes(3, "little") + b"\0" + packet


def test_mysql_up_when_it_greets(probe: Probe, serve: Serve) -> None:
    port = serve(saying(greeting(b"11.4.2-MariaDB")))
    assert probe("mysql", f"127.0.0.1:{port}").details["version"] == "11.4.2-MariaDB"
    assert probe("mysql", f"127.0.0.1:{port}", version_regex="^8").reason == "assertion"


def test_mysql_down_when_it_refuses(probe: Probe, serve: Serve) -> None:
    packet = b"\xff\x10\x04Too many connections"
    port = serve(saying(len(packet).to_bytes(3, "little") + b"\0" + packet))
    found = probe("mysql", f"127.0.0.1:{port}")
    assert found.error == "refuses: Too many connections"


def refusal(code: bytes) -> bytes:
    fields = b"SFATAL\0C" + code + b"\0Mno\0\0"
    return b"E" + struct.pack("!I", len(fields) + 4) + fields


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (b"R" + struct.pack("!II", 8, 3), "up"),
        (refusal(b"28000"), "up"),
        (refusal(b"3D000"), "up"),
        (refusal(b"57P03"), "down"),
        (refusal(b"53300"), "down"),
    ],
)
def test_postgresql_judged_by_its_first_answer(
    probe: Probe, serve: Serve, answer: bytes, outcome: str
) -> None:
    assert probe("postgresql", f"127.0.0.1:{serve(after_request(answer))}").outcome == outcome


def test_postgresql_down_when_tls_is_wanted_and_not_offered(probe: Probe, serve: Serve) -> None:
    found = probe("postgresql", f"127.0.0.1:{serve(after_request(b'N'))}", tls=True)
    assert (found.outcome, found.reason) == ("down", "tls")


def test_smtp_up_when_it_greets(probe: Probe, serve: Serve) -> None:
    port = serve(saying(b"220 mail ready\r\n", b"250-mail\r\n250 SIZE 1\r\n"))
    found = probe("smtp", f"127.0.0.1:{port}")
    assert (found.outcome, found.details["greeting"]) == ("up", "mail ready")
    assert probe("smtp", f"127.0.0.1:{port}", starttls=True).reason == "assertion"


def test_smtp_down_when_it_is_busy(probe: Probe, serve: Serve) -> None:
    found = probe("smtp", f"127.0.0.1:{serve(saying(b'421 busy' + NL))}")
    assert (found.outcome, found.reason) == ("down", "status")


def test_smtp_up_when_starttls_works(probe: Probe, serve: Serve, trusted: Authority) -> None:
    context = trusted.server()

    def handle(plain: socket.socket) -> None:
        saying(b"220 mail\r\n", b"250 STARTTLS\r\n")(plain)
        plain.sendall(b"220 go\r\n")
        with context.wrap_socket(plain, server_side=True) as secure:
            saying(b"", b"250 mail\r\n")(secure)

    found = probe("smtp", f"localhost:{serve(handle)}", starttls=True)
    assert (found.outcome, found.error) == ("up", "")
    assert len(found.details["certificates"]) == 1


def test_tls_up_when_the_certificate_lasts(probe: Probe, serve: Serve, trusted: Authority) -> None:
    port = serve(hang, trusted.server(days=40))
    assert probe("tls", f"localhost:{port}").outcome == "up"
    assert probe("tls", f"localhost:{port}", certificate_warn_days=50).outcome == "degraded"
    assert probe("tls", f"localhost:{port}", certificate_down_days=50).reason == "cert_expired"


def websocket(frames: bytes) -> Handler:
    """Open the WebSocket as it should be and send frames in the same packet."""

    def handle(connection: socket.socket) -> None:
        head = drain(connection)
        key = head.split(b"Sec-WebSocket-Key: ")[1].split(NL)[0]
        digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        accept = b"Sec-WebSocket-Accept: " + base64.b64encode(digest)
        connection.sendall(b"HTTP/1.1 101 Go\r\n" + accept + NL + NL + frames)
        connection.recv(100)

    return handle


def test_websocket_up_when_it_opens_and_says_the_word(probe: Probe, serve: Serve) -> None:
    port = serve(websocket(b"\x89\x00\x81\x05hello"))
    assert probe("websocket", f"ws://127.0.0.1:{port}/", send="hi", expect="hell").outcome == "up"
    assert probe("websocket", f"ws://127.0.0.1:{port}/", expect="bye").reason == "assertion"


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        (b"\x88\x00", "assertion"),
        (b"\x81\x7f" + b"\xff" * 8, "too_large"),
        (b"\x81\x85abcd", "protocol"),
        (b"\x89\x00" * 50, "protocol"),
    ],
)
def test_websocket_down_when_frames_are_not_as_expected(
    probe: Probe, serve: Serve, frames: bytes, reason: str
) -> None:
    port = serve(websocket(frames))
    assert probe("websocket", f"ws://127.0.0.1:{port}/", expect="x").reason == reason


def test_websocket_down_when_the_answer_is_not_for_its_key(probe: Probe, serve: Serve) -> None:
    port = serve(after_request(b"HTTP/1.1 101 Go\r\nSec-WebSocket-Accept: x\r\n\r\n"))
    assert probe("websocket", f"ws://127.0.0.1:{port}/").reason == "protocol"


def test_tcp_up_when_the_expected_answer_comes_in_pieces(probe: Probe, serve: Serve) -> None:
    port = serve(saying(b"", b"he\r\nllo"))
    found = probe("tcp", f"127.0.0.1:{port}", send="x\\r\\n", expect="he\\r\\nllo")
    assert (found.outcome, found.details["answer"]) == ("up", "he\r\nllo")
    assert probe("tcp", f"127.0.0.1:{port}", send="x", expect_regex="l+o").outcome == "up"


def test_tcp_down_when_another_answer_comes(probe: Probe, serve: Serve) -> None:
    port = serve(lambda connection: connection.sendall(b"x" * 100_000))
    found = probe("tcp", f"127.0.0.1:{port}", expect="hello")
    assert (found.outcome, found.reason) == ("down", "assertion")


def test_tcp_up_under_tls(probe: Probe, serve: Serve, trusted: Authority) -> None:
    port = serve(saying(b"", b"pong"), trusted.server())
    found = probe("tcp", f"localhost:{port}", tls=True, send="ping", expect="pong")
    assert (found.outcome, "tls" in found.phases) == ("up", True)
