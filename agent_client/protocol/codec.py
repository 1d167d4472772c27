"""Bytes to messages and back: JSON text frames, and binary frames for log chunks.

A text frame holds one message object or an array of them. A binary frame is a 4-byte
header length, a JSON header (the chunk without its frames) and the raw log frames, so
that log bytes are never escaped or copied through JSON. Malformed input raises
ProtocolError, which names what is wrong and never carries the payload. Of several messages
one that cannot be read, say of a kind that a newer release has, costs no other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from agent_client.protocol.messages import (
    MAX_MESSAGES_PER_FRAME,
    AgentMessage,
    Answer,
    Heartbeat,
    LogChunk,
    Number,
    Part,
    QueuedMessage,
    ServerMessage,
)

T = TypeVar("T")

_HEADER_LENGTH = struct.Struct("!I")
_MAX_HEADER_BYTES = 4096


UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What the decoders raise for bytes that are no message."""


class ProtocolError(ValueError):
    """The peer sent bytes that are no message of this protocol."""


class Unread(NamedTuple):
    """One message that could not be read: its id, if even that could be, and why."""

    message_id: str
    detail: str


OnUnread = Callable[[Unread], None]


class _Named(Part, frozen=True):
    """What every message has."""

    message_id: str = ""


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
_queued_decoder = msgspec.json.Decoder(QueuedMessage)
_named_decoder = msgspec.json.Decoder(_Named)
_pieces_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_fields_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_chunk_header_decoder = msgspec.json.Decoder(_ChunkHeader)


def encode(message: Part | Sequence[Part]) -> bytes:
    """Return the JSON bytes of one message or of a list of them."""
    return _encoder.encode(message)


def decode_agent_frame(
    data: bytes | str, *, on_unread: OnUnread | None = None
) -> list[AgentMessage]:
    """Return the messages of an agent's text frame; raises ProtocolError.

    With on_unread it is told of each message that cannot be read, and the others count.
    """
    return _decode(data, _agent_decoder, _agent_list_decoder, on_unread)


def decode_server_frame(
    data: bytes | str, *, on_unread: OnUnread | None = None
) -> list[ServerMessage]:
    """Return the messages of a server's text frame, as decode_agent_frame does."""
    return _decode(data, _server_decoder, _server_list_decoder, on_unread)


def decode_heartbeat(data: bytes, *, on_unread: OnUnread | None = None) -> Heartbeat:
    """Return the heartbeat in an HTTP body, type and message_id optional; raises ProtocolError.

    With on_unread it is told of each message in the beat that cannot be read.
    """
    try:
        return _heartbeat_decoder.decode(data)
    except UNREADABLE as error:
        if on_unread is not None:
            beat = _beat_without_unread(data, on_unread)
            if beat is not None:
                return beat
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
    on_unread: OnUnread | None,
) -> list[T]:
    """Decode an object or an array, telling them apart by the first character."""
    is_array = data[:1] in (b"[", "[")
    try:
        messages = many.decode(data) if is_array else [one.decode(data)]
    except UNREADABLE as error:
        if on_unread is None:
            raise ProtocolError(str(error)) from error
        messages = _decode_each(data, one, on_unread, is_array=is_array)
    if len(messages) > MAX_MESSAGES_PER_FRAME:
        raise ProtocolError(f"more than {MAX_MESSAGES_PER_FRAME} messages in one frame")
    return messages


def _decode_each(
    data: bytes | str, one: msgspec.json.Decoder[T], on_unread: OnUnread, *, is_array: bool
) -> list[T]:
    """Decode one message after the other; raises ProtocolError when they cannot be told apart."""
    try:
        pieces = _pieces_decoder.decode(data if is_array else _listed(data))
    except UNREADABLE as error:
        raise ProtocolError(str(error)) from error
    if not is_array and len(pieces) != 1:
        raise ProtocolError("a frame is one object or an array of them")
    if len(pieces) > MAX_MESSAGES_PER_FRAME:
        raise ProtocolError(f"more than {MAX_MESSAGES_PER_FRAME} messages in one frame")
    return [message for _, message in _readable(pieces, one, on_unread)]


def _listed(data: bytes | str) -> str:
    """Return one object as an array of one."""
    return f"[{data if isinstance(data, str) else data.decode()}]"


def _readable(
    pieces: Sequence[msgspec.Raw], one: msgspec.json.Decoder[T], on_unread: OnUnread
) -> list[tuple[msgspec.Raw, T]]:
    """Return the pieces that can be read with their messages; tells of the others."""
    found: list[tuple[msgspec.Raw, T]] = []
    for piece in pieces:
        try:
            found.append((piece, one.decode(piece)))
        except UNREADABLE as error:
            on_unread(Unread(_id_of(piece), str(error)))
    return found


def _id_of(piece: msgspec.Raw) -> str:
    """Return the id of a message that cannot be read, empty when it has none."""
    try:
        return _named_decoder.decode(piece).message_id
    except UNREADABLE:
        return ""


def _beat_without_unread(data: bytes, on_unread: OnUnread) -> Heartbeat | None:
    """Return a beat without those of its messages that cannot be read, None if it is no beat."""
    unread: list[Unread] = []
    try:
        fields = _fields_decoder.decode(data)
        pieces = _pieces_decoder.decode(fields["messages"])
        kept = [piece for piece, _ in _readable(pieces, _queued_decoder, unread.append)]
        beat = _heartbeat_decoder.decode(_encoder.encode({**fields, "messages": kept}))
    except (*UNREADABLE, KeyError):
        return None
    for one in unread:
        on_unread(one)
    return beat
