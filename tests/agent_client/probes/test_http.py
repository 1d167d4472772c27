"""The http kind against servers that behave and servers that do not."""

from __future__ import annotations

import gzip
import socket
import zlib

import pytest

from tests.agent_client.probes.certificates import Authority
from tests.agent_client.probes.conftest import (
    Handler,
    Probe,
    Serve,
    answering,
    body,
    closed_port,
    drain,
    drip,
    flood,
    hang,
    reset,
)

OK = body(b'{"items": [{"name": "one", "n": 1}], "ok": true}')


def url(port: int, path: str = "/") -> str:
    return f"http://127.0.0.1:{port}{path}"


def test_up_when_the_status_is_expected(probe: Probe, serve: Serve) -> None:
    found = probe("http", url(serve(answering(OK))))
    assert (found.outcome, found.details["status"]) == ("up", 200)
    assert list(found.phases) == ["dns", "connect", "send", "ttfb", "transfer"]
    assert found.details["address"] == "127.0.0.1"


def test_up_when_the_host_is_a_name(probe: Probe, serve: Serve) -> None:
    assert probe("http", f"http://localhost:{serve(answering(OK))}/").outcome == "up"


@pytest.mark.parametrize(
    ("handler", "reason", "phase"),
    [
        (hang, "timeout", "ttfb"),
        (drip, "timeout", "transfer"),
        (reset, "reset", "ttfb"),
        (flood, "too_large", "transfer"),
        (answering(b"SSH-2.0-OpenSSH_9\r\n"), "protocol", "transfer"),
        (answering(b""), "protocol", "ttfb"),
        (answering(b"HTTP/1.1 2000 OK\r\n\r\n"), "protocol", "transfer"),
        (answering(b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n"), "protocol", "transfer"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab"), "protocol", "transfer"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab"), "protocol", "transfer"),
        (answering(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"), "protocol", "transfer"),
        (
            answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
            "too_large",
            "transfer",
        ),
        (answering(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 80_000), "too_large", "transfer"),
        (answering(*[b"HTTP/1.1 100 Continue\r\n\r\n"] * 20), "protocol", "transfer"),
    ],
)
def test_down_when_the_server_misbehaves(
    probe: Probe, serve: Serve, handler: Handler, reason: str, phase: str
) -> None:
    found = probe("http", url(serve(handler)), timeout=0.5 if reason == "timeout" else 5.0)
    assert (found.outcome, found.reason, found.phase) == ("down", reason, phase)


def test_down_when_nothing_listens(probe: Probe) -> None:
    found = probe("http", url(closed_port()))
    assert (found.outcome, found.reason, found.phase) == ("down", "refused", "connect")


def test_down_when_the_status_is_not_expected(probe: Probe, serve: Serve) -> None:
    port = serve(answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 8\r\n\r\nback  in"))
    found = probe("http", url(port))
    assert (found.outcome, found.reason) == ("down", "status")
    assert found.error == "status 503, expected 200-299: back in"
    assert probe("http", url(port), expected_status=["5xx"]).outcome == "up"


@pytest.mark.parametrize("size", ["zz", "-1", "1_0", "+2", "", "f" * 40])
def test_down_when_a_chunk_has_no_size(probe: Probe, serve: Serve, size: str) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = probe("http", url(serve(answering(head, size.encode() + b"\r\nabc"))))
    assert found.reason in ("protocol", "too_large")


def test_body_is_read_when_it_is_chunked(probe: Probe, serve: Serve) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    port = serve(answering(head, b"3;x=y\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"))
    assert probe("http", url(port), body_regex="^abcde$").outcome == "up"


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (b"gzip", gzip.compress(b"hello", mtime=0)),
        (b"deflate", zlib.compress(b"hello")),
        (b"deflate", zlib.compress(b"hello", wbits=-15)),
    ],
)
def test_body_is_unpacked_when_it_is_packed(
    probe: Probe, serve: Serve, coding: bytes, packed: bytes
) -> None:
    port = serve(answering(body(packed, b"Content-Encoding: " + coding + b"\r\n")))
    assert probe("http", url(port), body_regex="^hello$").outcome == "up"


def test_down_when_a_small_body_unpacks_to_a_large_one(probe: Probe, serve: Serve) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    port = serve(answering(body(bomb, b"Content-Encoding: gzip\r\n")))
    assert probe("http", url(port)).reason == "too_large"


def test_down_when_the_body_does_not_match(probe: Probe, serve: Serve) -> None:
    port = serve(answering(OK))
    assert probe("http", url(port), body_regex="nothing").reason == "assertion"
    assert probe("http", url(port), body_not_regex="items").reason == "assertion"


def test_pattern_ends_when_it_would_hang_other_matchers(probe: Probe, serve: Serve) -> None:
    port = serve(answering(body(b"a" * 500_000 + b"!")))
    assert probe("http", url(port), body_regex="^(a+)+$").reason == "assertion"


@pytest.mark.parametrize(
    ("path", "value", "outcome"),
    [
        ("items[0].name", "one", "up"),
        ("$.items[-1].n", 1, "up"),
        ("items[0].n", True, "down"),
        ("ok", True, "up"),
        ("items[3]", None, "down"),
        ("items.name", None, "down"),
    ],
)
def test_json_value_is_found(
    probe: Probe, serve: Serve, path: str, value: object, outcome: str
) -> None:
    found = probe("http", url(serve(answering(OK))), json_path=path, json_equals=value)
    assert found.outcome == outcome


def test_down_when_json_is_wanted_and_it_is_none(probe: Probe, serve: Serve) -> None:
    for text in (b"<html>", b"[" * 200_000):
        port = serve(answering(body(text)))
        assert probe("http", url(port), json_path="a").reason == "assertion"


def test_redirects_are_followed_with_the_phases_of_each_hop(probe: Probe, serve: Serve) -> None:
    last = serve(answering(OK))
    first = serve(answering(b"HTTP/1.1 302 Found\r\nLocation: %b\r\n\r\n" % url(last).encode()))
    found = probe("http", url(first))
    assert [hop["status"] for hop in found.details["hops"]] == [302, 200]
    assert found.details["hops"][1]["phases"]["connect"] >= 0


def test_down_when_redirects_do_not_end(probe: Probe, serve: Serve) -> None:
    port = serve(answering(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"))
    found = probe("http", url(port))
    assert (found.outcome, found.reason) == ("down", "status")
    assert probe("http", url(port), follow_redirects=False, expected_status=[302]).outcome == "up"


@pytest.mark.parametrize("where", ["http://169.254.169.254/latest", "http://[::ffff:169.254.1.1]/"])
def test_error_when_a_redirect_leads_to_a_denied_address(
    probe: Probe, serve: Serve, where: str
) -> None:
    port = serve(answering(b"HTTP/1.1 302 Found\r\nLocation: %b\r\n\r\n" % where.encode()))
    found = probe("http", url(port))
    assert (found.outcome, found.reason) == ("error", "denied")


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://a b/", "http://user:p@x/"])
def test_down_when_a_redirect_leads_nowhere(probe: Probe, serve: Serve, where: str) -> None:
    port = serve(answering(b"HTTP/1.1 302 Found\r\nLocation: %b\r\n\r\n" % where.encode()))
    assert probe("http", url(port)).reason == "protocol"


def test_credentials_stay_with_the_origin_when_redirected(probe: Probe, serve: Serve) -> None:
    heads: list[bytes] = []

    def note(connection: socket.socket) -> None:
        heads.append(drain(connection))
        connection.sendall(OK)

    last = serve(note)

    def send_away(connection: socket.socket) -> None:
        heads.append(drain(connection))
        connection.sendall(b"HTTP/1.1 307 Go\r\nLocation: %b\r\n\r\n" % url(last).encode())

    probe("http", url(serve(send_away)), username="ann", password="pw", headers={"cookie": "a"})
    assert b"Authorization: Basic YW5uOnB3\r\n" in heads[0]
    assert b"Cookie: a" in heads[0]
    assert b"Authorization" not in heads[1]
    assert b"Cookie" not in heads[1]


def test_request_carries_what_is_set(probe: Probe, serve: Serve) -> None:
    seen: list[bytes] = []

    def echo(connection: socket.socket) -> None:
        seen.append(drain(connection))
        connection.sendall(OK)

    port = serve(echo)
    probe("http", url(port, "/a?b=1"), method="POST", body="hä", bearer_token="tok")
    assert seen[0].startswith(b"POST /a?b=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % port)
    assert b"Authorization: Bearer tok\r\n" in seen[0]
    assert b"Content-Length: 3\r\n" in seen[0]


def test_degraded_when_it_takes_longer_than_wanted(probe: Probe, serve: Serve) -> None:
    found = probe("http", url(serve(answering(OK))), warn_ms=0.001)
    assert (found.outcome, found.reason) == ("degraded", "assertion")


def test_certificate_is_noted_when_it_is_trusted(
    probe: Probe, serve: Serve, trusted: Authority
) -> None:
    port = serve(answering(OK), trusted.server(days=90))
    found = probe("http", f"https://localhost:{port}/", certificate_warn_days=30)
    assert (found.outcome, found.error) == ("up", "")
    note = found.details["certificates"][0]
    assert (note["days_left"], note["chain"], note["version"]) == (90, 2, "TLSv1.3")
    assert "tls" in found.phases


def test_certificates_of_every_hop_are_noted_when_redirected(
    probe: Probe, serve: Serve, trusted: Authority
) -> None:
    place = serve(answering(OK), trusted.server(days=90))
    for days in (60, 30):
        to = b"HTTP/1.1 302 Go\r\nLocation: https://localhost:%d/\r\n\r\n" % place
        place = serve(answering(to), trusted.server(days=days))
    found = probe("http", f"https://localhost:{place}/")
    assert [one["days_left"] for one in found.details["certificates"]] == [30, 60, 90]


def test_degraded_when_a_certificate_ends_soon(
    probe: Probe, serve: Serve, trusted: Authority
) -> None:
    port = serve(answering(OK), trusted.server(days=5))
    found = probe("http", f"https://localhost:{port}/")
    assert (found.outcome, found.error) == ("degraded", "a certificate ends in 5 days")


@pytest.mark.parametrize(
    ("name", "days", "reason"), [("localhost", -3, "cert_expired"), ("other.test", 90, "tls")]
)
def test_down_when_the_certificate_is_not_valid(
    probe: Probe, serve: Serve, trusted: Authority, name: str, days: int, reason: str
) -> None:
    port = serve(answering(OK), trusted.server(name, days))
    found = probe("http", f"https://localhost:{port}/")
    assert (found.outcome, found.reason, found.phase) == ("down", reason, "tls")


def test_unverified_certificate_is_accepted_only_when_told_so(
    probe: Probe, serve: Serve, authority: Authority
) -> None:
    port = serve(answering(OK), authority.server(days=-3))
    assert probe("http", f"https://localhost:{port}/").outcome == "down"
    found = probe("http", f"https://localhost:{port}/", verify_tls=False)
    assert (found.outcome, found.details["certificates"][0]["days_left"]) == ("degraded", -3)


def test_down_when_the_port_speaks_no_tls(probe: Probe, serve: Serve) -> None:
    port = serve(answering(OK))
    found = probe("http", f"https://127.0.0.1:{port}/", timeout=1)
    assert (found.outcome, found.phase) == ("down", "tls")
