"""The transport that gets through everywhere: heartbeats by HTTP, messages riding along.

Whatever is to be said goes at once, not at the next tick; what the server says comes with
the answer. One worker thread does the requests, one at a time: log frames before the
heartbeat, so that a result never overtakes the bytes it is about. Bounded: at most 1 MiB
of log waits here, then `send_chunk` does.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import msgspec

from agent_client.addresses import is_loopback
from agent_client.protocol import codec
from agent_client.protocol.messages import (
    MAX_MESSAGES_PER_FRAME,
    Ack,
    Answer,
    CancelTasksBatch,
    Go,
    Heartbeat,
    Hello,
    LogChunk,
    QueuedMessage,
    Reconcile,
    Revoked,
    ServerMessage,
    TasksBatch,
    Welcome,
)
from agent_client.transport.base import (
    ANSWER_TIMEOUT_SECONDS,
    BUSY,
    CONNECT_TIMEOUT_SECONDS,
    REDIRECTS,
    ConnectionFailed,
    CredentialRefused,
    Endpoint,
    refused_redirect,
    retry_after,
)

if TYPE_CHECKING:
    import ssl

    from requests import PreparedRequest, Response
    from requests import Session as HttpSession
    from requests.adapters import HTTPAdapter

MAX_FRAMES_BYTES = 1024 * 1024
"""Log bytes of one request: on a slow line the heartbeat must still come through."""
_LENGTH = struct.Struct("!I")


class PollingTransport:
    """HTTP requests to one address, behind the same face as a socket."""

    name = "polling"

    def __init__(self, endpoint: Endpoint, *, make_beat: Callable[[], Heartbeat]) -> None:
        """Name where to send; make_beat gives the beat that carries waiting messages."""
        self._endpoint = endpoint
        self._make_beat = make_beat
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="http")
        self._http: HttpSession | None = None
        self._messages: list[QueuedMessage] = []
        self._beat: Heartbeat | None = None
        self._chunks: list[bytes] = []
        self._chunk_bytes = 0
        self._work = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    async def connect(self, hello: Hello) -> None:
        """Prepare the first beat; the first answer tells whether the server is there."""
        self._messages = [hello]
        self._beat = self._make_beat()

    async def send(self, messages: Sequence[QueuedMessage | Heartbeat]) -> None:
        """Let the messages ride in the next request, which goes at once."""
        for message in messages:
            if isinstance(message, Heartbeat):
                self._beat = message
            else:
                self._messages.append(message)
        self._work.set()

    async def send_chunk(self, chunk: LogChunk) -> None:
        """Let the chunk go with the next request; waits while 1 MiB is on its way."""
        await self._room.wait()
        data = codec.encode_chunk(chunk)
        self._chunks += (_LENGTH.pack(len(data)), data)
        self._chunk_bytes += len(data)
        if self._chunk_bytes >= MAX_FRAMES_BYTES:
            self._room.clear()
        self._work.set()

    async def received(self) -> AsyncIterator[ServerMessage]:
        """Do the requests as there is something to say, and yield what the answers hold."""
        answer = await self._exchange_beat()
        yield _welcome(answer)
        while True:
            for message in _messages(answer):
                yield message
            if not (self._chunks or self._messages or self._beat):
                self._work.clear()
            await self._work.wait()
            answer = await (self._exchange_chunks() if self._chunks else self._exchange_beat())

    async def close(self) -> None:
        """Forget what waits; a request in flight ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._room.set()

    async def _exchange_beat(self) -> Answer:
        """Post one heartbeat with the waiting messages and return its answer."""
        riding = tuple(self._messages[:MAX_MESSAGES_PER_FRAME])
        del self._messages[: len(riding)]
        beat, self._beat = self._beat or self._make_beat(), None
        body = codec.encode(msgspec.structs.replace(beat, messages=riding))
        return await self._post("/api/v1/nodes/heartbeat", body, "application/json")

    async def _exchange_chunks(self) -> Answer:
        """Post the waiting log chunks and return the answer with the stored offsets."""
        body = b"".join(self._chunks)
        self._chunks, self._chunk_bytes = [], 0
        self._room.set()
        answer = await self._post("/api/v1/nodes/frames", body, "application/octet-stream")
        # This answer knows nothing of the pace; its field is a default.
        return msgspec.structs.replace(answer, heartbeat_interval=0.0)

    async def _post(self, path: str, body: bytes, content_type: str) -> Answer:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._post_now, path, body, content_type)

    def _post_now(self, path: str, body: bytes, content_type: str) -> Answer:
        """Do one request in the worker thread; raises as Transport.connect says."""
        import requests  # 6 MiB that the WebSocket does not need

        if self._http is None:
            self._http = open_session(self._endpoint.server, self._endpoint.tls_context())
            self._http.headers.update(self._endpoint.headers)
        try:
            response = self._http.post(
                self._endpoint.server + path,
                data=body,
                headers={"Content-Type": content_type},
                timeout=(CONNECT_TIMEOUT_SECONDS, ANSWER_TIMEOUT_SECONDS),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise ConnectionFailed(_cause(error)) from error
        if response.status_code in REDIRECTS:
            location = response.headers.get("Location", "")
            server, status = self._endpoint.server, response.status_code
            raise ConnectionFailed(refused_redirect(server, status, location))
        return _checked(response)


def open_session(server: str, context: ssl.SSLContext | None) -> HttpSession:
    """Return a session for one server, with proxies of the environment unless it is this machine.

    It sends the credential that it is given, or none: never the one of a user's `.netrc`.
    """
    from requests import Session

    session = Session()
    session.trust_env = not is_loopback(server)
    # Without an `auth`, `requests` puts what `.netrc` holds for the host over our own header.
    session.auth = _as_it_is
    if context is not None:
        session.mount("https://", adapter_for(context))
    return session


def _as_it_is(request: PreparedRequest) -> PreparedRequest:
    """Return a request with the headers that it has."""
    return request


def adapter_for(context: ssl.SSLContext) -> HTTPAdapter:
    """Return what makes `requests` use exactly this context: by itself it adds public CAs."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """Connects with the given context only."""

        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            """Make the pool with the context."""
            # A pinned certificate is its own proof; its names are not compared.
            named = None if context.check_hostname else False
            super().init_poolmanager(*args, **options, ssl_context=context, assert_hostname=named)

        def cert_verify(self, *_args: Any) -> None:
            """Leave the connection as the context has it."""

    return Adapter()


class _ErrorBody(msgspec.Struct, frozen=True):
    """The server's error; anything else that answers leaves it empty."""

    detail: str = ""


def _checked(response: Response) -> Answer:
    """Return the decoded answer; raises what its status means for the next try."""
    status = response.status_code
    if status == 409:
        raise CredentialRefused(_detail(response), code="instance_conflict")
    if status in (401, 403):
        raise CredentialRefused(_detail(response))
    if status != 200:
        raise ConnectionFailed(
            _detail(response),
            code="server_busy" if status in BUSY else "",
            retry_after_seconds=retry_after(response.headers.get("Retry-After", "")),
        )
    try:
        return codec.decode_answer(response.content)
    except codec.ProtocolError as error:
        raise ConnectionFailed(str(error), code="server_answer_invalid") from error


def _detail(response: Response) -> str:
    """Return what the server says is wrong, or at least the status."""
    try:
        detail = msgspec.json.decode(response.content, type=_ErrorBody).detail
    except msgspec.MsgspecError:
        detail = ""
    return detail or f"the server answered HTTP {response.status_code}"


def _cause(error: Exception) -> str:
    """Return the innermost reason: the outer ones repeat the address in many words."""
    inner: BaseException = error
    while (following := inner.__cause__ or inner.__context__) is not None:
        inner = following
    return str(inner) or type(inner).__name__


def _welcome(answer: Answer) -> Welcome:
    """Return what the first answer says about the connection."""
    return Welcome(
        message_id="",
        epoch=answer.epoch,
        heartbeat_interval=answer.heartbeat_interval,
        installation=answer.installation,
        server_time=answer.server_time,
        probes_revision=answer.probes_revision,
        plugins_revision=answer.plugins_revision,
        release=answer.release,
    )


def _messages(answer: Answer) -> list[ServerMessage]:
    """Return an answer as the messages of the socket, go first: a script waits for it."""
    ack = Ack(
        message_id="",
        message_ids=answer.acks,
        log_next=answer.log_next,
        heartbeat_interval=answer.heartbeat_interval or None,
        probes_revision=answer.probes_revision or None,
        plugins_revision=answer.plugins_revision or None,
        release=answer.release,
    )
    parts: list[tuple[object, ServerMessage]] = [
        (answer.go, Go(message_id="", tasks=answer.go)),
        (True, ack),
        (answer.revoked, Revoked(message_id="", tasks=answer.revoked)),
        (answer.cancel_tasks, CancelTasksBatch(message_id="", tasks=answer.cancel_tasks)),
        (answer.tasks, TasksBatch(message_id="", tasks=answer.tasks)),
        (
            answer.desired or answer.bandwidths,
            Reconcile(message_id="", desired=answer.desired, bandwidths=answer.bandwidths),
        ),
    ]
    return [message for content, message in parts if content] + list(answer.errors)
