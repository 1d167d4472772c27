"""ssh: reads the banner that a server sends first (RFC 4253, 4.2)."""

from __future__ import annotations

from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, ProtocolViolation
from agent_client.probes.kind import Kind
from agent_client.protocol.probe_kinds import patterns
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.ssh import SshSettings

MAX_LINES_BEFORE_BANNER = 20


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: SshSettings = talk.run.config
    yield from talk.connect(*split_endpoint(talk.run.target, 22))
    talk.enter("ttfb")
    # A server may say other lines before it names itself.
    for _ in range(MAX_LINES_BEFORE_BANNER):
        banner = yield from talk.receive_line(1_024)
        if banner.startswith(b"SSH-"):
            break
    else:
        raise ProtocolViolation(f"sends no SSH banner: {banner[:80]!r}")
    if not banner.startswith((b"SSH-2.0-", b"SSH-1.99-")):
        raise ProtocolViolation(f"does not speak SSH 2: {banner[:80]!r}")
    talk.details["banner"] = banner[:200].decode("utf-8", "replace")
    if settings.banner_regex and not patterns.matches(settings.banner_regex, banner):
        raise CheckFailed(f"the banner is {talk.details['banner']!r}")
    # Says who asks, so that the server's log blames nobody else.
    yield from talk.send(b"SSH-2.0-dialer_probe\r\n")


KIND = Kind("ssh", SshSettings, steps=_talk)
