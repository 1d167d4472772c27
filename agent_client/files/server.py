"""The server's side of one transfer, over one kept connection that is made anew when it breaks.

Trouble on the way (no answer, 5xx, 429) is waited out for as long as it takes, and said
once: the task's own time limit ends a transfer, not the network. A token that is void, or a
refusal of what was sent, ends it at once.
"""

from __future__ import annotations

import hashlib
import http.client
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec

from agent_client.errors import Rejected, Retryable
from agent_client.protocol.transfers import (
    CHUNK_DIGEST_HEADER,
    MAX_CHUNK_BYTES,
    TransferEnd,
    TransferState,
)
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ANSWER_TIMEOUT_SECONDS
from agent_client.transport.trust import Trust

INITIAL_SECONDS, MAX_SECONDS, TRIES_PER_ADDRESS = 0.2, 10.0, 3
TIMEOUT_SECONDS = 3 * ANSWER_TIMEOUT_SECONDS
MAX_BAD_CHUNKS = 5
"""So often in a row a chunk may arrive broken before somebody has to look."""
MAX_JSON_BYTES = 64 * 1024
_VOID = (401, 403, 404, 410)
_LATER = (408, 425, 429)
T = TypeVar("T")


class _Next(msgspec.Struct):
    """Where the server goes on."""

    next: int


class _Problem(msgspec.Struct):
    """The server's error; anything else that answers leaves it empty."""

    code: str = ""
    detail: str = ""


class _Reply(NamedTuple):
    body: bytes
    digest: str = ""


class TransferServer:
    """Speaks with the server about one transfer."""

    def __init__(
        self,
        servers: tuple[str, ...],
        *,
        transfer_id: str,
        token: str,
        trust: Trust,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """servers are base addresses; say prints a line into the task's log."""
        self._path = f"/api/v1/transfers/{transfer_id}"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._trust = trust
        self._say = say
        self._sleep = sleep
        self._backoff = Backoff(
            servers,
            initial_seconds=INITIAL_SECONDS,
            max_seconds=MAX_SECONDS,
            tries_per_address=TRIES_PER_ADDRESS,
        )
        self._connection: http.client.HTTPConnection | None = None
        self._is_away = False
        self.sent_bytes = 0
        """Bytes of content that were put on the wire, repeated ones included."""

    def state(self) -> TransferState:
        """Return where the server stands; raises Rejected."""
        return self._insist(lambda: _parsed(self._ask("GET", ""), TransferState))

    def fetch(self, offset: int, size: int) -> bytes:
        """Return bytes of the file, checked by their digest; raises Rejected."""
        target = f"/content?offset={offset}&limit={min(size, MAX_CHUNK_BYTES)}"
        for _ in range(MAX_BAD_CHUNKS):
            reply = self._insist(lambda: self._ask("GET", target))
            if hashlib.sha256(reply.body).hexdigest() == reply.digest:
                return reply.body
        raise _broken(offset)

    def put(self, offset: int, data: bytes) -> int:
        """Send bytes and return the offset that the server wants next; raises Rejected."""
        headers = {
            CHUNK_DIGEST_HEADER: hashlib.sha256(data).hexdigest(),
            "Content-Type": "application/octet-stream",
        }

        def send() -> int:
            self.sent_bytes += len(data)
            return _parsed(self._ask("PUT", f"/content?offset={offset}", data, headers), _Next).next

        for _ in range(MAX_BAD_CHUNKS):
            try:
                return self._insist(send)
            except _Gap as gap:
                return gap.next
            except Rejected as error:
                if error.code != "digest_mismatch":
                    raise
        raise _broken(offset)

    def end(self, size_bytes: int, sha256: str) -> TransferState:
        """Have the whole checked and kept; raises Rejected when it is not what was sent."""
        body = msgspec.json.encode(TransferEnd(size_bytes=size_bytes, sha256=sha256))
        headers = {"Content-Type": "application/json"}
        return self._insist(
            lambda: _parsed(self._ask("POST", "/end", body, headers), TransferState)
        )

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _insist(self, ask: Callable[[], T]) -> T:
        """Return what is asked for, as soon as the server can be reached."""
        while True:
            try:
                answer = ask()
            except Retryable as error:
                self.close()
                if not self._is_away:
                    self._say(f"waiting for the server: {error.detail}")
                self._is_away = True
                self._sleep(self._backoff.failed(at_least_seconds=error.retry_after_seconds or 0))
                continue
            if self._is_away:
                self._say("the server is back, going on")
            self._is_away = False
            self._backoff.succeeded()
            return answer

    def _ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Reply:
        """Return one good answer; raises Retryable or Rejected."""
        try:
            connection = self._connected()
            connection.request(
                method, self._path + target, body=body, headers={**self._headers, **(headers or {})}
            )
            response = connection.getresponse()
            limit = MAX_CHUNK_BYTES if method == "GET" else MAX_JSON_BYTES
            data = response.read(limit + 1)
            if response.length:
                # Asked for a number of bytes, it does not say that the line broke before.
                raise http.client.IncompleteRead(data, response.length)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", "") or str(error) or type(error).__name__
            raise Retryable(reason) from error
        if len(data) > limit or 300 <= response.status < 400:
            raise Rejected("The server's answer is none of ours.", code="server_answer_invalid")
        if response.status >= 400:
            raise _problem(response, data)
        return _Reply(data, response.headers.get(CHUNK_DIGEST_HEADER, ""))

    def _connected(self) -> http.client.HTTPConnection:
        """Return the connection, made when there is none; raises OSError or Retryable."""
        if self._connection is None:
            address = self._backoff.address
            parts = urlsplit(address)
            context = self._trust.context_for(address)
            host, port = parts.hostname or "", parts.port
            self._connection = (
                http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
                if context is None
                else http.client.HTTPSConnection(
                    host, port, timeout=TIMEOUT_SECONDS, context=context
                )
            )
        return self._connection


class _Gap(Rejected):
    """The server lacks bytes before this offset; it says from where."""

    def __init__(self, following: int) -> None:
        super().__init__(code="offset_gap")
        self.next = following


def _problem(response: http.client.HTTPResponse, data: bytes) -> Exception:
    """Return what an error of the server means for the transfer."""
    status = response.status
    try:
        problem = msgspec.json.decode(data, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    detail = problem.detail or f"the server answered HTTP {status}"
    if status >= 500 or status in _LATER:
        after = response.headers.get("Retry-After", "")
        return Retryable(detail, retry_after_seconds=float(after) if after.isdigit() else None)
    if problem.code == "offset_gap":
        return _Gap(_parsed(_Reply(data), _Next).next)
    if status in _VOID:
        return Rejected(
            f"The server does not know this transfer any more: {detail}", code="invalid_token"
        )
    return Rejected(detail, code=problem.code or "request_refused")


def _parsed(reply: _Reply, kind: type[T]) -> T:
    """Return the body as what it must be; raises Rejected."""
    try:
        return msgspec.json.decode(reply.body, type=kind)
    except msgspec.MsgspecError as error:
        raise Rejected(
            "The server's answer is none of ours.", code="server_answer_invalid"
        ) from error


def _broken(offset: int) -> Rejected:
    return Rejected(
        f"The chunk at {offset} arrives broken again and again.", code="digest_mismatch"
    )
