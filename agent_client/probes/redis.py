"""redis: PING, after AUTH where there is a password (RESP 2)."""

from __future__ import annotations

from agent_client.probes.certificates import client_context
from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, ProtocolViolation
from agent_client.probes.kind import Kind
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.redis import RedisSettings


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: RedisSettings = talk.run.config
    host, port = split_endpoint(talk.run.target, 6379)
    yield from talk.connect(host, port)
    if settings.tls:
        context = client_context(settings.verify_tls, settings.tls_min_version)
        yield from talk.secure(context, settings.server_name or host)
    if settings.password:
        names = [settings.username] if settings.username else []
        yield from _ask(talk, ["AUTH", *names, settings.password], b"+OK", asked=False)
    yield from _ask(talk, ["PING"], b"+PONG", asked=not settings.password)


KIND = Kind("redis", RedisSettings, steps=_talk)


def _ask(talk: Dialogue, words: list[str], wanted: bytes, *, asked: bool) -> Waits:
    """Send a command; asked: a question for the password is an answer of a healthy server."""
    parts = [word.encode() for word in words]
    lines = [b"*%d\r\n" % len(parts), *(b"$%d\r\n%b\r\n" % (len(one), one) for one in parts)]
    talk.enter("send")
    yield from talk.send(b"".join(lines))
    talk.enter("ttfb")
    answer = yield from talk.receive_line(1_024)
    if answer == wanted or (asked and answer.startswith(b"-NOAUTH")):
        return
    if answer.startswith(b"-"):
        raise CheckFailed(f"{words[0]} was answered {answer[1:200].decode('utf-8', 'replace')!r}")
    raise ProtocolViolation(f"does not speak Redis' protocol: {answer[:80]!r}")
