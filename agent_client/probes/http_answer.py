"""A small HTTP/1.1 reader: one answer from a socket, every part of it bounded.

Reads content-length, chunked and close-delimited bodies, gzip and deflate. Whoever
answers is a stranger: heads, bodies, chunk overhead and decompressed sizes have limits.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from agent_client.probes.dialogue import Dialogue
from agent_client.probes.failures import AnswerTooLarge, ProtocolViolation
from agent_client.probes.kind import Want

MAX_HEAD_BYTES = 65_536
MAX_INTERIM_ANSWERS = 10
MAX_CHUNK_LINE_BYTES = 1_024
_NO_BODY = frozenset({204, 304})


@dataclass(slots=True)
class Answer:
    """Header names in lower case; values of repeated headers joined by commas."""

    status: int
    headers: dict[str, str]
    body: bytes = b""


def read_answer(
    talk: Dialogue, *, head_only: bool, max_body_bytes: int, keep_rest: bool = False
) -> Generator[Want, Any, Answer]:
    """Return the final answer; the phase `transfer` begins with its first byte.

    keep_rest: another protocol follows the head, so what was read of it is the body.
    Raises ProtocolViolation and AnswerTooLarge, and what the connection raises.
    """
    buffer = bytearray()
    for _ in range(MAX_INTERIM_ANSWERS):
        head = yield from _read_head(talk, buffer)
        answer = _parse_head(head)
        if answer.status >= 200 or answer.status == 101:
            break
    else:
        raise ProtocolViolation("sent interim answers without end")
    if keep_rest:
        answer.body = bytes(buffer)
    elif not head_only and answer.status not in _NO_BODY:
        source = _Source(talk, buffer, max_body_bytes)
        body = yield from _read_body(source, answer.headers)
        answer.body = _decoded(body, answer.headers.get("content-encoding", ""), max_body_bytes)
    return answer


def _read_head(talk: Dialogue, buffer: bytearray) -> Generator[Want, Any, bytes]:
    """Return the head and take it off the buffer; what follows it stays."""
    searched = 0
    while (end := buffer.find(b"\r\n\r\n", searched)) < 0:
        if len(buffer) > MAX_HEAD_BYTES:
            raise AnswerTooLarge(f"the head is longer than {MAX_HEAD_BYTES} bytes")
        searched = max(0, len(buffer) - 3)
        more = yield from talk.receive()
        if not more:
            what = "in the head of its answer" if buffer else "without an answer"
            raise ProtocolViolation(f"closed {what}")
        if not buffer:
            talk.enter("transfer")
            _check_start(more)
        buffer += more
    head = bytes(buffer[:end])
    del buffer[: end + 4]
    return head


def _check_start(first: bytes) -> None:
    """Refuse what is no HTTP at its first bytes, not only when its head is too long."""
    if not b"HTTP/1.".startswith(first[:7]):
        raise ProtocolViolation(f"does not speak HTTP/1: {first[:40]!r}")


def _parse_head(head: bytes) -> Answer:
    line, *rest = head.decode("latin-1").split("\r\n")
    parts = line.split(" ", 2)
    status = parts[1] if len(parts) > 1 else ""
    if len(status) != 3 or not (status.isascii() and status.isdigit()):
        raise ProtocolViolation(f"the status line is wrong: {line[:80]!r}")
    headers: dict[str, str] = {}
    for field in rest:
        name, colon, value = field.partition(":")
        if not colon:
            raise ProtocolViolation(f"a header is wrong: {field[:80]!r}")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Answer(int(status), headers)


class _Source:
    """Bytes of a body, from what came with the head and then from the connection."""

    __slots__ = ("buffer", "limit", "raw", "talk")

    def __init__(self, talk: Dialogue, buffer: bytearray, limit: int) -> None:
        self.talk = talk
        self.buffer = buffer
        self.limit = limit
        self.raw = 0

    def more(self) -> Generator[Want, Any, bool]:
        """Add what comes next to the buffer; False when the other side has closed."""
        content = yield from self.talk.receive()
        self.buffer += content
        self.raw += len(content)
        # One byte per chunk costs five more: overhead counts too.
        if self.raw > 8 * self.limit + MAX_HEAD_BYTES:
            raise AnswerTooLarge("the body's framing is longer than the body may be")
        return bool(content)

    def check(self, size: int) -> None:
        """Refuse a body of this size when it is too large."""
        if size > self.limit:
            raise AnswerTooLarge(f"the body is longer than {self.limit} bytes")


def _read_body(source: _Source, headers: dict[str, str]) -> Generator[Want, Any, bytes]:
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return (yield from _read_chunks(source))
    if "content-length" in headers:
        return (yield from _read_length(source, headers["content-length"]))
    while True:
        source.check(len(source.buffer))
        if not (yield from source.more()):
            return bytes(source.buffer)


def _read_length(source: _Source, text: str) -> Generator[Want, Any, bytes]:
    # The same length twice is allowed (RFC 9112, 6.3), two lengths are an attack.
    lengths = {one.strip() for one in text.split(",")}
    value = lengths.pop()
    if lengths or not (value.isascii() and value.isdigit()) or len(value) > 18:
        raise ProtocolViolation(f"the content length is wrong: {text[:40]!r}")
    size = int(value)
    # Known before the first byte of it: do not read what will be refused.
    source.check(size)
    while len(source.buffer) < size:
        if not (yield from source.more()):
            raise ProtocolViolation(f"closed after {len(source.buffer)} of {size} bytes")
    return bytes(source.buffer[:size])


def _read_chunks(source: _Source) -> Generator[Want, Any, bytes]:
    body = bytearray()
    while size := (yield from _chunk_size(source)):
        source.check(len(body) + size)
        while len(source.buffer) < size + 2:
            if not (yield from source.more()):
                raise ProtocolViolation("closed inside a chunk")
        if source.buffer[size : size + 2] != b"\r\n":
            raise ProtocolViolation("a chunk does not end where it should")
        body += source.buffer[:size]
        del source.buffer[: size + 2]
    return bytes(body)


def _chunk_size(source: _Source) -> Generator[Want, Any, int]:
    while (end := source.buffer.find(b"\r\n", 0, MAX_CHUNK_LINE_BYTES)) < 0:
        if len(source.buffer) >= MAX_CHUNK_LINE_BYTES:
            raise ProtocolViolation("the line of a chunk's size is too long")
        if not (yield from source.more()):
            raise ProtocolViolation("closed before the last chunk")
    digits = bytes(source.buffer[:end]).partition(b";")[0].strip()
    del source.buffer[: end + 2]
    try:
        # int() alone would take signs and underscores.
        return int(digits, 16) if digits.isalnum() and len(digits) <= 15 else int("no chunk size")
    except ValueError:
        raise ProtocolViolation(f"the size of a chunk is wrong: {digits[:20]!r}") from None


def _decoded(body: bytes, coding: str, limit: int) -> bytes:
    """Return the body without its content coding; one that grows too much is refused."""
    coding = coding.strip().lower()
    if coding in ("", "identity") or not body:
        return body
    if coding not in ("gzip", "x-gzip", "deflate"):
        return body
    # 32 + 15 recognises gzip and zlib; some servers call raw deflate "deflate" as well.
    for window in (47, -15) if coding == "deflate" else (47,):
        try:
            unpacker = zlib.decompressobj(window)
            content = unpacker.decompress(body, limit + 1)
        except zlib.error:
            continue
        if len(content) > limit:
            raise AnswerTooLarge(f"the body unpacks to more than {limit} bytes")
        return content
    raise ProtocolViolation(f"the body is not {coding}")
