"""udp: sends a datagram; with an expected answer it waits for one that fits."""

from __future__ import annotations

import socket

from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed
from agent_client.probes.kind import Kind
from agent_client.protocol.probe_kinds import patterns
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.payload import payload
from agent_client.protocol.probe_kinds.udp import UdpSettings

REFUSAL_SECONDS = 0.2
"""How long a refusal (ICMP port unreachable) is waited for when no answer is expected."""


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: UdpSettings = talk.run.config
    host, port = split_endpoint(talk.run.target)
    # Connected, so that a refusal reaches us and strangers' datagrams do not.
    yield from talk.connect(host, port, transport=socket.SOCK_DGRAM)
    talk.enter("send")
    yield from talk.send_datagram(payload(settings.send))
    talk.enter("ttfb")
    if settings.expect or settings.expect_regex:
        _check((yield from talk.receive()), settings)
        return
    left = talk.run.deadline - talk.run.clock()
    try:
        until = talk.run.clock() + min(REFUSAL_SECONDS, left / 2)
        yield from talk.receive(until=until)
    except TimeoutError:
        talk.details["answered"] = False


KIND = Kind("udp", UdpSettings, steps=_talk)


def _check(content: bytes, settings: UdpSettings) -> None:
    if settings.expect and payload(settings.expect) not in content:
        raise CheckFailed(f"the answer is not as expected: {content[:100]!r}")
    if settings.expect_regex and not patterns.matches(settings.expect_regex, content):
        raise CheckFailed(f"the answer is not as expected: {content[:100]!r}")
