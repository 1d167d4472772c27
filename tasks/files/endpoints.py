"""The hosts' HTTP endpoints of transfers: chunks in, chunks out, each with its digest.

Raw ASGI in front of Django, like the agents' others, but opened by the transfer's own token
and by no agent's credential. Disk and digests run in threads of their own: 4 MiB take
milliseconds that heartbeats must not wait for. At most a chunk of a file is in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

import msgspec
from django.db import connections

from agent_client.protocol.transfers import (
    CHUNK_DIGEST_HEADER,
    MAX_CHUNK_BYTES,
    TransferEnd,
    TransferState,
)
from agents import offload
from agents.raw_http import (
    Handler,
    MethodNotAllowed,
    Receive,
    Scope,
    Send,
    bearer,
    client_address,
    header,
    query_of,
    read_body,
    require_bytes,
    require_json,
    send_error,
    send_json,
)
from agents.registration_limit import RegistrationLimit
from dialer_platform.errors import Invalid, NotFound
from tasks.services import host_files
from tasks.services.host_files import Grant
from tasks.services.stored_files import OffsetGap

PREFIX = "/api/v1/transfers/"
MAX_END_BYTES = 16 * 1024
THREADS = 4

_PATH = re.compile(r"/api/v1/transfers/([0-9a-f]{8,32})(/content|/end)?")
_DIGEST = CHUNK_DIGEST_HEADER.lower().encode()

Action = Callable[[Grant, Scope, Receive, Send], Awaitable[None]]
P = ParamSpec("P")
T = TypeVar("T")

limit = RegistrationLimit("Too many wrong tokens from this address; try again in a minute.")
"""How often an address may show a wrong token."""
_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="files")


def find(scope: Scope) -> Handler | None:
    """Return the handler of a transfer's path, None for every other path."""
    match = _PATH.fullmatch(scope["path"])
    if match is None:
        return None
    action = ACTIONS.get((scope["method"], match[2] or ""))
    if action is None:
        return _refuse_method
    return partial(_authenticated, action, match[1])


async def _authenticated(
    action: Action, transfer_id: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Run the action with what the token opens, if that is the transfer of the path."""
    token = bearer(scope)
    grant = host_files.remembered(token)
    if grant is None:
        with limit.attempt(client_address(scope)):
            grant = await offload.run(host_files.look_up, token)
    if grant.transfer_id != transfer_id:
        raise NotFound("There is no such transfer.")
    await action(grant, scope, receive, send)


async def _state(grant: Grant, _scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer where the server's side stands."""
    state = await offload.run(host_files.state_of, grant)
    await send_json(send, msgspec.json.encode(state))


async def _get_chunk(grant: Grant, scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer bytes of the file with their digest; none past its end."""
    query = query_of(scope)
    offset = _number(query, "offset", 0)
    size = _number(query, "limit", MAX_CHUNK_BYTES)
    data, digest = await _in_thread(_read_with_digest, grant, offset, size)
    head = [
        (b"content-type", b"application/octet-stream"),
        (b"content-length", str(len(data)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (_DIGEST, digest.encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": data})


async def _put_chunk(grant: Grant, scope: Scope, receive: Receive, send: Send) -> None:
    """Store a chunk; answers what comes next, also beside the refusal of a gap."""
    require_bytes(scope)
    offset = _number(query_of(scope), "offset", 0)
    data = await read_body(scope, receive, MAX_CHUNK_BYTES)
    put = partial(host_files.put_chunk, grant, offset, data, header(scope, _DIGEST))
    await _answer_next(send, put)


async def _end(grant: Grant, scope: Scope, receive: Receive, send: Send) -> None:
    """Check the whole; answers the final state."""
    require_json(scope)
    body = await read_body(scope, receive, MAX_END_BYTES)
    try:
        message = msgspec.json.decode(body, type=TransferEnd)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Invalid("The body is not the end of a transfer.", code="malformed") from error
    try:
        state = await _in_thread(_end_and_close, grant, message)
    except OffsetGap as gap:
        await send_error(send, gap, more={"next": gap.next})
        return
    await send_json(send, msgspec.json.encode(state))


async def _answer_next(send: Send, put: Callable[[], int]) -> None:
    """Run a writer in a thread and answer the offset that comes next."""
    try:
        following = await _in_thread(put)
    except OffsetGap as gap:
        await send_error(send, gap, more={"next": gap.next})
        return
    await send_json(send, json.dumps({"next": following}).encode())


async def _refuse_method(scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer 405."""
    raise MethodNotAllowed(f"{scope['method']} is not allowed here.")


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run disk work off the event loop; the function closes what it opens of the database."""
    call = partial(function, *args, **kwargs)
    return await asyncio.get_running_loop().run_in_executor(_executor, call)


def _read_with_digest(grant: Grant, offset: int, size: int) -> tuple[bytes, str]:
    """Return a chunk and its SHA-256."""
    data = host_files.read_chunk(grant, offset, size)
    return data, hashlib.sha256(data).hexdigest()


def _end_and_close(grant: Grant, message: TransferEnd) -> TransferState:
    """Check the whole and let the database go: after a restart the digest takes seconds."""
    try:
        return host_files.end(grant, message)
    finally:
        connections.close_all()


def _number(query: dict[str, str], name: str, default: int) -> int:
    """Return a parameter as a number of bytes; raises Invalid with its name."""
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        fields = {name: ["Must be a whole number of bytes."]}
        raise Invalid("The request is not valid.", fields=fields)
    return int(text)


ACTIONS: dict[tuple[str, str], Action] = {
    ("GET", ""): _state,
    ("GET", "/content"): _get_chunk,
    ("PUT", "/content"): _put_chunk,
    ("POST", "/end"): _end,
}
"""Every path that a transfer's token opens, by method and what follows the id."""
