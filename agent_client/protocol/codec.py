"""Bytes to messages and back: JSON text frames, and binary frames for log chunks.

A text frame holds one message object or an array of them. A binary frame is a 4-byte
header length, a JSON header (the chunk without its frames) and the raw log frames, so
that log bytes are never escaped or copied through JSON. Malformed input raises
ProtocolError, which names what is wrong and never carries the payload.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from agent_client.protocol.messages import (
    MAX_MESSAGES_PER_FRAME,
    AgentMessage,
    Answer,
    Heartbeat,
    LogChunk,
    Number,
    Part,
    ServerMessage,
)

T = TypeVar("T")

_HEADER_LENGTH = struct.Struct("!I")
_MAX_HEADER_BYTES = 4096


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoders raise for bytes that are no message."""


class ProtocolError(ValueError):
    """The peer sent bytes that are no message of this protocol."""


class _ChunkHeader(Part, frozen=True):
    """The JSON head of a binary log frame."""

    message_id: str
    task_id: Number
    offer: Number
    offset: Number


_encoder = msgspec.json.Encoder()
_agent_decoder = msgspec.json.Decoder(AgentMessage)
_agent_list_decoder = msgspec.json.Decoder(list[AgentMessage])
_server_decoder = msgspec.json.Decoder(ServerMessage)
_server_list_decoder = msgspec.json.Decoder(list[ServerMessage])
_heartbeat_decoder = msgspec.json.Decoder(Heartbeat)
_answer_decoder = msgspec.json.Decoder(Answer)
_chunk_header_decoder = msgspec.json.Decoder(_ChunkHeader)


def encode(message: Part | Sequence[Part]) -> bytes:
    """Return the JSON bytes of one message or of a list of them."""
    return _encoder.encode(message)


def decode_agent_frame(data: bytes | str) -> list[AgentMessage]:
    """Return the messages of an agent's text frame; raises ProtocolError."""
    return _decode(data, _agent_decoder, _agent_list_decoder)


def decode_server_frame(data: bytes | str) -> list[ServerMessage]:
    """Return the messages of a server's text frame; raises ProtocolError."""
    return _decode(data, _server_decoder, _server_list_decoder)


def decode_heartbeat(data: bytes) -> Heartbeat:
    """Return the heartbeat in an HTTP body, type and message_id optional; raises ProtocolError."""
    try:
        return _heartbeat_decoder.decode(data)
    except UNREADABLE as error:
        raise ProtocolError(str(error)) from error


def decode_answer(data: bytes) -> Answer:
    """Return the heartbeat answer in data; raises ProtocolError."""
    try:
        return _answer_decoder.decode(data)
    except UNREADABLE as error:
        raise ProtocolError(str(error)) from error


def encode_chunk(chunk: LogChunk) -> bytes:
    """Return the binary frame of a log chunk."""
    head = _encoder.encode(
        _ChunkHeader(
            message_id=chunk.message_id,
            task_id=chunk.task_id,
            offer=chunk.offer,
            offset=chunk.offset,
        )
    )
    return b"".join((_HEADER_LENGTH.pack(len(head)), head, chunk.frames))


def decode_chunk(data: bytes) -> LogChunk:
    """Return the log chunk in a binary frame; raises ProtocolError."""
    if len(data) < _HEADER_LENGTH.size:
        raise ProtocolError("binary frame is shorter than its header length")
    (length,) = _HEADER_LENGTH.unpack_from(data)
    start = _HEADER_LENGTH.size + length
    if length > _MAX_HEADER_BYTES or start > len(data):
        raise ProtocolError("binary frame has a wrong header length")
    try:
        head = _chunk_header_decoder.decode(data[_HEADER_LENGTH.size : start])
    except UNREADABLE as error:
        raise ProtocolError(str(error)) from error
    return LogChunk(
        message_id=head.message_id,
        task_id=head.task_id,
        offer=head.offer,
        offset=head.offset,
        frames=data[start:],
    )


def _decode(
    data: bytes | str,
    one: msgspec.json.Decoder[T],
    many: msgspec.json.Decoder[list[T]],
) -> list[T]:
    """Decode an object or an array, telling them apart by the first character."""
    head = data[:1]
    try:
        messages = many.decode(data) if head in (b"[", "[") else [one.decode(data)]
    except UNREADABLE as error:
        raise ProtocolError(str(error)) from error
    if len(messages) > MAX_MESSAGES_PER_FRAME:
        raise ProtocolError(f"more than {MAX_MESSAGES_PER_FRAME} messages in one frame")
    return messages
