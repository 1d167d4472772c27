"""smtp: greeting, EHLO, STARTTLS if wanted, QUIT (RFC 5321, RFC 3207)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from agent_client.probes.certificates import client_context
from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, ProtocolViolation
from agent_client.probes.kind import Kind, Want
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.smtp import SmtpSettings

MAX_REPLY_LINES = 100


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: SmtpSettings = talk.run.config
    host, port = split_endpoint(talk.run.target, 25)
    context = client_context(settings.verify_tls, settings.tls_min_version)
    yield from talk.connect(host, port)
    if settings.tls:
        yield from talk.secure(context, settings.server_name or host)
    talk.enter("ttfb")
    greeting = yield from _reply(talk, 220)
    talk.details["greeting"] = greeting[0][:200]
    talk.enter("transfer")
    offers = yield from _command(talk, b"EHLO dialer-probe", 250)
    if settings.starttls:
        if "STARTTLS" not in (one.strip().upper() for one in offers):
            raise CheckFailed("the server does not offer STARTTLS")
        yield from _command(talk, b"STARTTLS", 220)
        yield from talk.secure(context, settings.server_name or host)
        talk.enter("transfer")
        yield from _command(talk, b"EHLO dialer-probe", 250)
    yield from talk.send(b"QUIT\r\n")


KIND = Kind("smtp", SmtpSettings, steps=_talk)


def _command(talk: Dialogue, line: bytes, code: int) -> Generator[Want, Any, list[str]]:
    yield from talk.send(line + b"\r\n")
    return (yield from _reply(talk, code))


def _reply(talk: Dialogue, code: int) -> Generator[Want, Any, list[str]]:
    """Return the texts of a reply; raises CheckFailed for another code."""
    texts: list[str] = []
    for _ in range(MAX_REPLY_LINES):
        line = (yield from talk.receive_line(1_024)).decode("utf-8", "replace")
        if not line[:3].isdigit() or line[3:4] not in ("", " ", "-"):
            raise ProtocolViolation(f"does not speak SMTP: {line[:80]!r}")
        if line[:3] != str(code):
            raise CheckFailed(f"answered {line[:200]!r}, expected {code}", "status")
        texts.append(line[4:])
        if line[3:4] != "-":
            return texts
    raise ProtocolViolation("sends a reply without end")
