"""dns: asks one name server for one record and compares the answers.

dnspython writes and reads the packets; the sockets and the time are ours, so that the
query runs on either driver and every part of it is timed.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.reversename

from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, ProtocolViolation, SettingUnusable
from agent_client.probes.kind import Kind, Want
from agent_client.protocol.probe_kinds.dns import DnsSettings
from agent_client.protocol.probe_kinds.endpoints import Endpoint, split_endpoint

RESOLV_CONF = Path("/etc/resolv.conf")
RESEND_SECONDS = 2.0
"""A lost datagram says nothing about a server: ask again, as every resolver does."""
MAX_STRANGE_DATAGRAMS = 20
MAX_NOTED_ANSWERS = 20
UDP_BYTES = 1_232


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: DnsSettings = talk.run.config
    query = _query(talk.run.target, settings)
    host, port = _server(settings)
    transport = socket.SOCK_STREAM if settings.transport == "tcp" else socket.SOCK_DGRAM
    yield from talk.connect(host, port, transport=transport)
    if settings.transport == "tcp":
        answer = yield from _over_tcp(talk, query)
    else:
        answer = yield from _over_udp(talk, query)
        if answer.flags & dns.flags.TC:
            # Cut off: the protocol says to ask again over TCP.
            talk.close()
            yield from talk.connect(host, port)
            answer = yield from _over_tcp(talk, query)
    _check(talk, answer, settings)


KIND = Kind("dns", DnsSettings, steps=_talk)


def _query(target: str, settings: DnsSettings) -> dns.message.QueryMessage:
    name: str | dns.name.Name = target
    if settings.record_type == "PTR" and _is_address(target):
        name = dns.reversename.from_address(target)
    return dns.message.make_query(name, settings.record_type, use_edns=0, payload=UDP_BYTES)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _server(settings: DnsSettings) -> Endpoint:
    if settings.server:
        return split_endpoint(settings.server, 53)
    # Read at each run: a laptop's name server changes with the network it is in.
    for line in RESOLV_CONF.read_text(errors="replace").splitlines()[:100]:
        words = line.split()
        if words[:1] == ["nameserver"] and len(words) > 1:
            return Endpoint(words[1], 53)
    raise SettingUnusable(f"{RESOLV_CONF} names no server: set the name server of the probe")


def _over_udp(
    talk: Dialogue, query: dns.message.QueryMessage
) -> Generator[Want, Any, dns.message.Message]:
    """Return the answer to this query; others are strangers' and are passed over."""
    wire = query.to_wire()
    strange = 0
    while True:
        talk.enter("send")
        yield from talk.send_datagram(wire)
        talk.enter("ttfb")
        until = talk.run.clock() + RESEND_SECONDS
        try:
            while strange < MAX_STRANGE_DATAGRAMS:
                content = yield from talk.receive(until=until)
                if content[:2] == wire[:2]:
                    return _parsed(content, query)
                strange += 1
            raise ProtocolViolation("answers other questions than the one asked")
        except TimeoutError:
            if talk.run.clock() >= talk.run.deadline:
                raise


def _over_tcp(
    talk: Dialogue, query: dns.message.QueryMessage
) -> Generator[Want, Any, dns.message.Message]:
    talk.enter("send")
    wire = query.to_wire()
    yield from talk.send(len(wire).to_bytes(2, "big") + wire)
    talk.enter("ttfb")
    size = int.from_bytes((yield from talk.receive_exactly(2)), "big")
    return _parsed((yield from talk.receive_exactly(size)), query)


def _parsed(content: bytes, query: dns.message.QueryMessage) -> dns.message.Message:
    try:
        answer = dns.message.from_wire(content)
        fits = query.is_response(answer)
    except Exception as error:  # noqa: BLE001 (a stranger's packet must not look like our crash)
        raise ProtocolViolation(f"the answer cannot be read: {error}"[:200]) from None
    if not fits:
        raise ProtocolViolation("the answer belongs to another question")
    return answer


def _check(talk: Dialogue, answer: dns.message.Message, settings: DnsSettings) -> None:
    code = dns.rcode.to_text(answer.rcode())
    found = _answers(answer, settings.record_type)
    talk.details["code"] = code
    talk.details["answers"] = [one[:100] for one in found[:MAX_NOTED_ANSWERS]]
    talk.details["authoritative"] = bool(answer.flags & dns.flags.AA)
    if code != settings.expected_code:
        raise CheckFailed(f"answered {code}, expected {settings.expected_code}", "dns")
    if code == "NOERROR" and not found:
        raise CheckFailed(f"has no {settings.record_type} record for the name", "dns")
    present = set(map(_folded, found))
    missing = [one for one in settings.expected if _folded(one) not in present]
    if missing:
        text = f"{', '.join(missing[:3])} not among {', '.join(found[:5]) or 'no answers'}"
        raise CheckFailed(text[:400])


def _answers(answer: dns.message.Message, record_type: str) -> list[str]:
    wanted = dns.rdatatype.from_text(record_type)
    sets = (one for one in answer.answer if one.rdtype == wanted)
    return sorted(str(record) for one in sets for record in one)


@functools.lru_cache(maxsize=1_024)
def _folded(text: str) -> str:
    """Return a text without what does not matter: case, final dot, quotes."""
    return text.strip().strip('"').rstrip(".").lower()
