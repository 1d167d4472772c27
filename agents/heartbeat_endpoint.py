"""The polling transport: a beat with the messages that wait, and log chunks as binary frames.

Promises that the answer of a beat already carries what follows from the messages it
brought: an accepted offer gets its go in the same answer.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import Iterator

import msgspec

from agent_client.protocol import codec
from agent_client.protocol.messages import Answer, Heartbeat, Hello, LogChunk, Rejected
from agents import delivery, hot, inbox, instances, pace, probe_duty
from agents.admission import take_turn
from agents.plugins import wanted
from agents.principal import AgentPrincipal
from agents.raw_http import (
    Receive,
    Scope,
    Send,
    client_address,
    read_body,
    require_bytes,
    require_json,
    send_json,
)
from agents.reply import Reply
from dialer_platform.errors import Conflict, Forbidden, Invalid, TooLarge
from dialer_platform.storage.installation import installation_id

MAX_BEAT_BYTES = 1024 * 1024
MAX_FRAMES_BYTES = 9 * 1024 * 1024
MAX_CHUNKS = 64
_LENGTH = struct.Struct("!I")
_FIELD = re.compile(r"`\$\.([A-Za-z_.\[\]0-9]+)`")
_PATH_END = re.compile(r"[.\[]")
_MISSING = re.compile(r"required field `(\w+)`")


async def beat(principal: AgentPrincipal, scope: Scope, receive: Receive, send: Send) -> None:
    """Take a heartbeat and answer what the agent has to know."""
    require_json(scope)
    unread: list[codec.Unread] = []
    body = await read_body(scope, receive, MAX_BEAT_BYTES)
    heartbeat = parse_heartbeat(body, on_unread=unread.append)
    if heartbeat.agent_id != principal.agent_id:
        raise Forbidden("The credential belongs to another agent.", code="agent_mismatch")
    address, instance_id = client_address(scope), _instance_of(heartbeat)
    is_known = not instance_id or instances.speaks_here(principal, instance_id)
    elsewhere = instances.NOBODY if is_known else await instances.stored(principal)
    if instances.is_other_alive(principal, instance_id, elsewhere):
        delivery.announce_conflict(principal, address)
        raise Conflict(
            "Another agent uses this credential now; enrol this host on its own.",
            code="instance_conflict",
        )
    if _hello_of(heartbeat) and not await take_turn():
        raise inbox.SlowDown("Too many hosts come back at once; come again.")
    hot.note_address(principal, address)
    answer = await inbox.receive(principal, [heartbeat])
    if unread:
        refusals = tuple(
            Rejected(message_id=one.message_id, code="invalid_message", detail=one.detail)
            for one in unread
        )
        answer = msgspec.structs.replace(answer, errors=answer.errors + refusals)
    await send_json(send, codec.encode(answer))


async def receive_frames(
    principal: AgentPrincipal, scope: Scope, receive: Receive, send: Send
) -> None:
    """Take log chunks, each with a 4-byte length in front, and answer what is stored."""
    require_bytes(scope)
    body = await read_body(scope, receive, MAX_FRAMES_BYTES)
    pieces = list(split_chunks(body))
    replies = await asyncio.gather(*(_store(principal, piece) for piece in pieces))
    total = Reply()
    for reply in replies:
        total.absorb(reply)
    answer: Answer = total.to_answer(
        epoch=hot.epoch(principal.agent_id) or principal.epoch,
        heartbeat_interval=pace.heartbeat_interval(),
        installation=installation_id(),
        probes_revision=probe_duty.revision(principal.agent_id),
        plugins_revision=wanted.revision(principal.agent_id),
    )
    await send_json(send, codec.encode(answer))


async def _store(principal: AgentPrincipal, piece: LogChunk) -> Reply:
    """Store one chunk; a full lane becomes an answer, the other chunks count."""
    try:
        return await inbox.receive_chunk(principal, piece)
    except inbox.SlowDown as error:
        reply = Reply()
        reply.error(piece.message_id, error.code, error.detail)
        return reply


def parse_heartbeat(body: bytes, *, on_unread: codec.OnUnread | None = None) -> Heartbeat:
    """Return the heartbeat in a body; raises Invalid with the field that is wrong."""
    try:
        return codec.decode_heartbeat(body, on_unread=on_unread)
    except codec.ProtocolError as error:
        text = str(error)
        found = _FIELD.search(text) or _MISSING.search(text)
        if found is None:
            raise Invalid("The body is not a heartbeat.", code="malformed") from error
        sentence = text.partition(" - at ")[0] + "."
        raise Invalid(
            "The heartbeat is not valid.", fields={_PATH_END.split(found[1])[0]: [sentence]}
        ) from error


def split_chunks(body: bytes) -> Iterator[LogChunk]:
    """Yield the chunks of a body; raises Invalid for a cut one, TooLarge for too many."""
    position, count = 0, 0
    while position < len(body):
        if position + _LENGTH.size > len(body):
            raise Invalid("The last chunk is cut.", code="malformed")
        (length,) = _LENGTH.unpack_from(body, position)
        end = position + _LENGTH.size + length
        if end > len(body):
            raise Invalid("The last chunk is cut.", code="malformed")
        count += 1
        if count > MAX_CHUNKS:
            raise TooLarge(f"At most {MAX_CHUNKS} chunks in one request.")
        try:
            yield codec.decode_chunk(body[position + _LENGTH.size : end])
        except codec.ProtocolError as error:
            raise Invalid(f"A chunk is not valid: {error}.", code="malformed") from error
        position = end


def _hello_of(heartbeat: Heartbeat) -> Hello | None:
    """Return the hello that a beat carries: the first one of a connection does."""
    return next((one for one in heartbeat.messages if isinstance(one, Hello)), None)


def _instance_of(heartbeat: Heartbeat) -> str:
    """Return the instance that a beat names, in itself or in the hello it carries."""
    hello = _hello_of(heartbeat)
    return heartbeat.instance_id or (hello.instance_id if hello else "")
