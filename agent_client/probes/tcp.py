"""tcp: connects to a port; under TLS, with a question and an expected answer if wanted."""

from __future__ import annotations

from collections.abc import Callable

from agent_client.probes.certificates import client_context
from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed
from agent_client.probes.kind import Kind
from agent_client.protocol.probe_kinds import patterns
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.payload import payload
from agent_client.protocol.probe_kinds.tcp import TcpSettings


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: TcpSettings = talk.run.config
    host, port = split_endpoint(talk.run.target)
    yield from talk.connect(host, port)
    if settings.tls:
        context = client_context(settings.verify_tls, settings.tls_min_version)
        yield from talk.secure(context, settings.server_name or host)
    if settings.send:
        talk.enter("send")
        yield from talk.send(payload(settings.send))
    if settings.expect or settings.expect_regex:
        talk.enter("ttfb")
        yield from _expect(talk, settings)


KIND = Kind("tcp", TcpSettings, steps=_talk)


def _expect(talk: Dialogue, settings: TcpSettings) -> Waits:
    """Read until the expected answer has come, the other side closes or the limit is reached."""
    found = _matcher(settings)
    content = bytearray()
    while not found(content):
        room = settings.max_read_bytes - len(content)
        more = (yield from talk.receive(room)) if room > 0 else b""
        if not content and more:
            talk.enter("transfer")
        content += more
        if not more:
            raise CheckFailed(f"the answer is not as expected: {bytes(content[:100])!r}")
    talk.details["answer"] = bytes(content[:200]).decode("utf-8", "replace")


def _matcher(settings: TcpSettings) -> Callable[[bytearray], bool]:
    if settings.expect_regex:
        return lambda content: patterns.matches(settings.expect_regex, bytes(content))
    wanted = payload(settings.expect)
    return lambda content: wanted in content
