"""websocket: the opening handshake, and one message each way if wanted (RFC 6455)."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from collections.abc import Generator
from typing import Any

from agent_client import __version__
from agent_client.probes.certificates import client_context
from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import AnswerTooLarge, CheckFailed, ProtocolViolation
from agent_client.probes.http_answer import read_answer
from agent_client.probes.kind import Kind, Want
from agent_client.protocol.probe_kinds.endpoints import Url, split_url
from agent_client.protocol.probe_kinds.websocket import WebsocketSettings

MAX_MESSAGE_BYTES = 65_536
MAX_CONTROL_FRAMES = 20
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE = 1, 2, 8


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    settings: WebsocketSettings = talk.run.config
    url = split_url(talk.run.target, ("ws", "wss"))
    yield from talk.connect(url.host, url.port)
    if url.scheme == "wss":
        context = client_context(settings.verify_tls, settings.tls_min_version, ("http/1.1",))
        yield from talk.secure(context, settings.server_name or url.host)
    yield from _upgrade(talk, url, settings)
    if settings.send:
        yield from talk.send(_frame(_TEXT, settings.send.encode()))
    if settings.expect:
        message = yield from _message(talk)
        if settings.expect.encode() not in message:
            raise CheckFailed(f"the message is not as expected: {message[:100]!r}")
    yield from talk.send(_frame(_CLOSE, struct.pack("!H", 1_000)))


KIND = Kind("websocket", WebsocketSettings, steps=_talk)


def _upgrade(talk: Dialogue, url: Url, settings: WebsocketSettings) -> Waits:
    """Ask for the WebSocket and check that the answer is one to this very question."""
    key = base64.b64encode(os.urandom(16))
    origin = f"Origin: {settings.origin}\r\n" if settings.origin else ""
    head = (
        f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key.decode()}\r\n{origin}"
        f"Sec-WebSocket-Version: 13\r\nUser-Agent: dialer-agent/{__version__}\r\n\r\n"
    )
    talk.enter("send")
    yield from talk.send(head.encode())
    talk.enter("ttfb")
    # head_only: what follows a 101 are frames, not a body.
    answer = yield from read_answer(talk, head_only=True, max_body_bytes=0, keep_rest=True)
    talk.details["status"] = answer.status
    if answer.status != 101:
        raise CheckFailed(f"answered {answer.status} instead of opening a WebSocket", "status")
    # SHA-1 is what the protocol prescribes; nothing secret depends on it.
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    if answer.headers.get("sec-websocket-accept", "") != base64.b64encode(digest).decode():
        raise ProtocolViolation("the accept header does not belong to the key")
    talk.unread = answer.body


def _message(talk: Dialogue) -> Generator[Want, Any, bytes]:
    """Return the first message's first frame, past pings and pongs."""
    for _ in range(MAX_CONTROL_FRAMES):
        first, second = yield from talk.receive_exactly(2)
        size = second & 0x7F
        if second & 0x80:
            raise ProtocolViolation("a server must not mask its frames")
        if size > 125:
            size = int.from_bytes((yield from talk.receive_exactly(2 if size == 126 else 8)), "big")
        if size > MAX_MESSAGE_BYTES:
            raise AnswerTooLarge(f"the message is longer than {MAX_MESSAGE_BYTES} bytes")
        content = yield from talk.receive_exactly(size)
        if first & 0x0F in (_TEXT, _BINARY):
            return content
        if first & 0x0F == _CLOSE:
            raise CheckFailed("closed the WebSocket before any message")
    raise ProtocolViolation("sends control frames without end")


def _frame(kind: int, content: bytes) -> bytes:
    """Return a masked frame, as clients have to send."""
    mask = os.urandom(4)
    size = len(content)
    head = bytes((0x80 | kind, 0x80 | (size if size < 126 else 126)))
    if size >= 126:
        head += struct.pack("!H", size)
    return head + mask + bytes(byte ^ mask[i & 3] for i, byte in enumerate(content))
