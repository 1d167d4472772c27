"""postgresql: starts a session up to the question for a password (protocol 3.0).

A server that is starting, shutting down or full refuses before it asks, so this tells a
working database from an open port without any credentials.
"""

from __future__ import annotations

import struct

from agent_client.probes.certificates import client_context
from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, ProtocolViolation, SettingUnusable
from agent_client.probes.kind import Kind
from agent_client.protocol.probe_kinds.endpoints import split_endpoint
from agent_client.protocol.probe_kinds.postgresql import PostgresqlSettings

PROTOCOL, TLS_REQUEST = 196_608, 80_877_103
MAX_MESSAGE_BYTES = 16_384
# It looked at who we are and said no: class 28 and "no such database" mean that it works.
WORKING_REFUSALS = ("28", "3D000")


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: PostgresqlSettings = talk.run.config
    host, port = split_endpoint(talk.run.target, 5432)
    start = _start_message(settings)
    yield from talk.connect(host, port)
    if settings.tls:
        yield from _start_tls(talk, settings, settings.server_name or host)
    talk.enter("send")
    yield from talk.send(start)
    talk.enter("ttfb")
    head = yield from talk.receive_exactly(5)
    kind, size = struct.unpack("!cI", head)
    if kind not in b"RE" or not 4 <= size <= MAX_MESSAGE_BYTES:
        raise ProtocolViolation(f"does not speak PostgreSQL's protocol: {head!r}")
    message = yield from talk.receive_exactly(size - 4)
    if kind == b"E":
        _check_refusal(talk, message)


KIND = Kind("postgresql", PostgresqlSettings, steps=_talk)


def _start_tls(talk: Dialogue, settings: PostgresqlSettings, name: str) -> Waits:
    yield from talk.send(struct.pack("!II", 8, TLS_REQUEST))
    if (yield from talk.receive_exactly(1)) != b"S":
        raise CheckFailed("the server does not offer TLS", "tls")
    context = client_context(settings.verify_tls, settings.tls_min_version)
    yield from talk.secure(context, name)


def _start_message(settings: PostgresqlSettings) -> bytes:
    words = ("user", settings.username, "database", settings.database)
    if any("\0" in word or not word for word in words):
        raise SettingUnusable("username and database must be given, without zero bytes")
    content = b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return struct.pack("!II", len(content) + 8, PROTOCOL) + content


def _check_refusal(talk: Dialogue, message: bytes) -> None:
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in message.split(b"\0")}
    code, text = fields.get(b"C", ""), fields.get(b"M", "")
    talk.details["code"] = code[:10]
    if not code.startswith(WORKING_REFUSALS):
        raise CheckFailed(f"refuses: {text[:200]} ({code[:10]})")
