"""udp, dns and ping: kinds whose packets may be lost, forged or cut off."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator

import dns.message
import dns.rrset
import pytest

from agent_client.probes.failures import SettingUnusable
from agent_client.probes.ping import _answers, _checksum, _packet
from tests.agent_client.probes.conftest import Probe, closed_port

Reply = Callable[[bytes], list[bytes]]


@pytest.fixture
def datagrams() -> Iterator[Callable[[Reply], int]]:
    """Answer datagrams with what a function makes of them; returns the port."""
    sockets: list[socket.socket] = []

    def start(reply: Reply) -> int:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        sockets.append(sock)

        def work() -> None:
            while True:
                try:
                    content, peer = sock.recvfrom(65_536)
                    for one in reply(content) if peer[1] else []:
                        sock.sendto(one, peer)
                except OSError:
                    return

        threading.Thread(target=work, daemon=True).start()
        return int(sock.getsockname()[1])

    yield start
    for one in sockets:
        one.close()


Datagrams = Callable[[Reply], int]


def test_udp_up_when_the_answer_fits(probe: Probe, datagrams: Datagrams) -> None:
    port = datagrams(lambda content: [b"re:" + content])
    assert probe("udp", f"127.0.0.1:{port}", send="\\x01a", expect="re:\\x01a").outcome == "up"
    assert probe("udp", f"127.0.0.1:{port}", send="a", expect="no").reason == "assertion"


def test_udp_down_when_no_answer_comes(probe: Probe, datagrams: Datagrams) -> None:
    port = datagrams(lambda content: [])
    found = probe("udp", f"127.0.0.1:{port}", 0.3, send="a", expect="a")
    assert (found.outcome, found.reason, found.phase) == ("down", "timeout", "ttfb")


def test_udp_up_when_no_answer_is_expected_and_none_comes(
    probe: Probe, datagrams: Datagrams
) -> None:
    assert probe("udp", f"127.0.0.1:{datagrams(lambda content: [])}", send="a").outcome == "up"


def test_udp_down_when_it_is_refused(probe: Probe) -> None:
    assert probe("udp", f"127.0.0.1:{closed_port()}", send="a").reason == "refused"


def answer(content: bytes, *records: str, code: int = 0, flags: int = 0) -> bytes:
    """Return a name server's answer to a query."""
    query = dns.message.from_wire(content)
    reply = dns.message.make_response(query)
    reply.set_rcode(code)
    reply.flags |= flags
    question = query.question[0]
    if records:
        reply.answer.append(dns.rrset.from_text(question.name, 60, "IN", question.rdtype, *records))
    return reply.to_wire()


def test_dns_up_when_the_answers_are_expected(probe: Probe, datagrams: Datagrams) -> None:
    port = datagrams(lambda content: [answer(content, "192.0.2.1", "192.0.2.2")])
    server = f"127.0.0.1:{port}"
    found = probe("dns", "example.test", server=server, expected=["192.0.2.2"])
    assert (found.outcome, found.details["answers"]) == ("up", ["192.0.2.1", "192.0.2.2"])
    assert probe("dns", "a.test", server=server, expected=["192.0.2.9"]).reason == "assertion"


@pytest.mark.parametrize(
    ("kind", "record"),
    [
        ("AAAA", "2001:db8::1"),
        ("CNAME", "other.test."),
        ("MX", "10 mail.test."),
        ("TXT", '"v=spf1 -all"'),
        ("SRV", "1 2 443 host.test."),
        ("NS", "ns1.test."),
        ("SOA", "ns1.test. admin.test. 1 2 3 4 5"),
        ("PTR", "host.test."),
    ],
)
def test_dns_reads_every_type_of_record(
    probe: Probe, datagrams: Datagrams, kind: str, record: str
) -> None:
    port = datagrams(lambda content: [answer(content, record)])
    server = f"127.0.0.1:{port}"
    found = probe("dns", "192.0.2.7", record_type=kind, server=server, expected=[record])
    assert (found.outcome, found.error) == ("up", "")


def test_dns_judged_by_the_code(probe: Probe, datagrams: Datagrams) -> None:
    server = f"127.0.0.1:{datagrams(lambda content: [answer(content, code=3)])}"
    found = probe("dns", "gone.test", server=server)
    assert (found.outcome, found.reason) == ("down", "dns")
    assert probe("dns", "gone.test", server=server, expected_code="NXDOMAIN").outcome == "up"


def test_dns_passes_over_datagrams_of_strangers(probe: Probe, datagrams: Datagrams) -> None:
    port = datagrams(lambda content: [b"\0\0forged", answer(content, "192.0.2.1")])
    assert probe("dns", "a.test", server=f"127.0.0.1:{port}").outcome == "up"


@pytest.mark.parametrize("tail", [b"", b"\xff" * 20, b"\x81\x80" + b"\xff" * 8 + b"\xc0\x0c" * 9])
def test_dns_down_when_the_answer_is_garbage(
    probe: Probe, datagrams: Datagrams, tail: bytes
) -> None:
    port = datagrams(lambda content: [content[:2] + tail])
    assert probe("dns", "a.test", server=f"127.0.0.1:{port}").reason == "protocol"


def test_ping_up_when_the_host_answers(probe: Probe) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs the right to send ICMP")
    found = probe("ping", "127.0.0.1", count=3, interval_ms=10)
    assert (found.outcome, found.details["received"]) == ("up", 3)
    assert found.details["max_ms"] >= found.details["min_ms"] > 0


def test_ping_says_the_remedy_when_it_may_not_send(
    probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from agent_client.probes import ping

    def refuse(*_: object) -> socket.socket:
        raise SettingUnusable(ping.REMEDY, "permission")

    monkeypatch.setattr(ping, "_open", refuse)
    found = probe("ping", "127.0.0.1")
    assert (found.outcome, found.reason) == ("error", "permission")
    assert "ping_group_range" in found.error


def test_ping_packet_sums_to_zero() -> None:
    assert _checksum(_packet(socket.AF_INET, 3, b"12345678", 56)) == 0


def test_ping_takes_only_the_reply_with_its_own_mark() -> None:
    request = _packet(socket.AF_INET, 3, b"12345678", 56)
    reply = b"\0" + request[1:]
    ip_header = b"\x45" + bytes(19)
    assert _answers(reply, socket.AF_INET, 3, b"12345678")
    assert _answers(ip_header + reply, socket.AF_INET, 3, b"12345678")
    assert not _answers(reply, socket.AF_INET, 4, b"12345678")
    assert not _answers(reply, socket.AF_INET, 3, b"87654321")
    assert not _answers(request, socket.AF_INET, 3, b"12345678")
