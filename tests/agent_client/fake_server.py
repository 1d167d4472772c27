"""A server on a real loopback socket, as far as an agent can tell: HTTP and WebSocket.

`Brain` holds what the server knows and decides; `FakeServer` carries bytes. Faults are
switches: block the upgrade, refuse the token, answer nothing, cut every connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
from websockets.asyncio.server import ServerConnection, serve

from agent_client.protocol import codec, frames
from agent_client.protocol.messages import (
    Accepted,
    Ack,
    Answer,
    CancelOrder,
    CancelTasksBatch,
    Desired,
    Go,
    Heartbeat,
    Hello,
    LogChunk,
    LogNext,
    Reconcile,
    Rejected,
    Result,
    ServerMessage,
    TaskRef,
    TasksBatch,
    TaskSpec,
    Welcome,
)
from agent_client.protocol.plugins import PluginSample, PluginSet, PluginWanted
from agent_client.protocol.probes import ProbeResult, ProbeRun, ProbeSet, ProbeTask

TOKEN = "dpa_test"
ENROLL_TOKEN = "dpe_test"
AGENT_ID = "a-0123456789"
INSTALLATION = "inst"


@dataclass
class Brain:
    """What the server knows, and what it answers to a message."""

    say_go: bool = True
    ack_logs: bool = True
    forget_results: bool = True
    refuse_chunks: str = ""
    received: list[Any] = field(default_factory=list)
    logs: dict[int, bytes] = field(default_factory=dict)
    desired: list[Desired] = field(default_factory=list)
    results: dict[int, Result] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def kinds(self) -> list[str]:
        """Return the kinds of the messages received so far, without beats and chunks."""
        quiet = (Heartbeat, LogChunk)
        return [type(one).__name__ for one in self.received if not isinstance(one, quiet)]

    def of(self, kind: type) -> list[Any]:
        """Return the received messages of one kind."""
        return [one for one in self.received if isinstance(one, kind)]

    def handle(self, message: Any) -> list[ServerMessage]:
        """Note one message and return what the server says to it."""
        self.received.append(message)
        self.changed.set()
        if isinstance(message, LogChunk):
            return self._store(message)
        answers: list[ServerMessage] = []
        if isinstance(message, Hello):
            answers.append(self._welcome())
        elif isinstance(message, Accepted) and self.say_go:
            answers.append(Go(message_id="", tasks=(_ref(message),)))
        elif isinstance(message, Result):
            self.results[message.task_id] = message
            if self.forget_results:
                wish = Desired(task_id=message.task_id, offer=message.offer, want="forget")
                answers.append(Reconcile(message_id="", desired=(wish,)))
        elif isinstance(message, Heartbeat) and self.desired:
            answers.append(Reconcile(message_id="", desired=tuple(self.desired)))
            self.desired = []
        ids = (message.message_id,) if message.message_id else ()
        return [*answers, Ack(message_id=message.message_id, message_ids=ids)]

    def _welcome(self) -> Welcome:
        return Welcome(
            message_id="",
            epoch=1,
            heartbeat_interval=0.2,
            installation=INSTALLATION,
            server_time=0.0,
        )

    def _store(self, chunk: LogChunk) -> list[ServerMessage]:
        """Append a chunk at its offset as the server does: overlap skipped, gap refused."""
        if self.refuse_chunks:
            return [Rejected(message_id=chunk.message_id, code=self.refuse_chunks)]
        if not self.ack_logs:
            return []
        stored = self.logs.setdefault(chunk.task_id, b"")
        payload = b"".join(frame.payload for frame in frames.decode(chunk.frames))
        ids: tuple[str, ...] = ()
        if chunk.offset <= len(stored):
            self.logs[chunk.task_id] = stored + payload[len(stored) - chunk.offset :]
            ids = (chunk.message_id,)
        following = LogNext(
            task_id=chunk.task_id, offer=chunk.offer, next=len(self.logs[chunk.task_id])
        )
        return [Ack(message_id=chunk.message_id, message_ids=ids, log_next=(following,))]


class DialServer:
    """The server's side of dial testing: one set of probes, and results by (stream, seq)."""

    def __init__(self) -> None:
        self.revision = 0
        self.probes: tuple[ProbeTask, ...] = ()
        self.runs: tuple[ProbeRun, ...] = ()
        self.results: dict[tuple[str, int], ProbeResult] = {}
        self.repeats = 0
        self.statuses: list[int] = []
        """Statuses of the next answers to results, 0 for a cut of the stored ones' answer."""
        self.rejected: dict[int, str] = {}
        """Probes whose results are refused, and the code."""
        self.not_modified = 0

    def probe_set(self, headers: dict[str, str]) -> tuple[int, bytes]:
        tag = f'"{self.revision}"'
        if headers.get("if-none-match") == tag:
            self.not_modified += 1
            return 304, b""
        answer = ProbeSet(revision=self.revision, tasks=self.probes, runs=self.runs)
        return 200, msgspec.json.encode(answer)

    def store(self, body: bytes) -> tuple[int, bytes]:
        status = self.statuses.pop(0) if self.statuses else 200
        if status not in (0, 200):
            return status, b'{"code": "x", "detail": "as the test wants"}'
        acked, rejected = [], []
        for result in msgspec.json.decode(body, type=list[ProbeResult]):
            acked.append(result.seq)
            if code := self.rejected.get(result.task_id):
                rejected.append({"seq": result.seq, "code": code, "detail": ""})
                continue
            self.repeats += (result.stream, result.seq) in self.results
            self.results[result.stream, result.seq] = result
        if status == 0:
            return 502, b"the answer is lost"
        return 200, json.dumps({"acked": acked, "rejected": rejected}).encode()


class PluginServer:
    """The server's side of plug-ins: one set, the samples, and packages by their digest."""

    def __init__(self) -> None:
        self.wanted = PluginSet(revision=0)
        self.samples: list[PluginSample] = []
        self.statuses: list[int] = []
        """Statuses of the next answers to samples."""
        self.packages: dict[str, bytes] = {}
        self.fetched = 0

    def want(self, *plugins: PluginWanted) -> None:
        self.wanted = PluginSet(revision=self.wanted.revision + 1, plugins=plugins)

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path.startswith("/api/v1/plugins/agent"):
            self.fetched += 1
            return 200, msgspec.json.encode(self.wanted)
        if path == "/api/v1/plugins/samples":
            status = self.statuses.pop(0) if self.statuses else 200
            found = msgspec.json.decode(body, type=list[PluginSample])
            self.samples += found if status == 200 else []
            return status, json.dumps({"accepted": len(found), "refused": []}).encode()
        package = self.packages.get(path.rpartition("/")[2])
        return (200, package) if package is not None else (404, b"{}")


class FakeServer:
    """One server on one port; use `async with fake_server() as server`."""

    def __init__(self) -> None:
        self.brain = Brain()
        self.url = ""
        self.block_websocket = 0
        """HTTP status that a proxy gives instead of the upgrade."""
        self.close_code = 0
        """What a socket is closed with at once, 0 for not at all."""
        self.token = TOKEN
        self.http_status = 200
        self.retry_after = ""
        """What the answers to HTTP requests say of when to come again."""
        self.requests: list[str] = []
        self.registrations: list[dict[str, Any]] = []
        self.dial = DialServer()
        self.plugins = PluginServer()
        self.queued: list[ServerMessage] = []
        self._sockets: set[ServerConnection] = set()
        self._pipes: set[asyncio.StreamWriter] = set()
        self._socket_port = 0

    # --- what a test does -----------------------------------------------------------

    async def send(self, message: ServerMessage) -> None:
        """Say something: over the sockets, else with the answer to the next beat."""
        for socket in self._sockets:
            await socket.send(codec.encode(message), text=True)
        if not self._sockets:
            self.queued.append(message)

    async def offer(self, *specs: TaskSpec) -> None:
        """Offer tasks."""
        await self.send(TasksBatch(message_id="", tasks=specs))

    async def cancel(self, task_id: int, offer: int = 1, grace_seconds: float = 1.0) -> None:
        """Order a task to stop."""
        order = CancelOrder(task_id=task_id, offer=offer, grace_seconds=grace_seconds)
        await self.send(CancelTasksBatch(message_id="", tasks=(order,)))

    async def until(self, holds: Any, timeout_seconds: float = 15.0) -> None:
        """Wait until holds() is true; it is asked again after each message."""
        async with asyncio.timeout(timeout_seconds):
            while not holds():
                self.brain.changed.clear()
                await self.brain.changed.wait()

    async def cut(self) -> None:
        """Cut every connection without a word."""
        for writer in tuple(self._pipes):
            writer.transport.abort()
        self._sockets.clear()
        await asyncio.sleep(0)

    @property
    def is_connected(self) -> bool:
        """Return whether a WebSocket is open."""
        return bool(self._sockets)

    # --- bytes ------------------------------------------------------------------------

    async def _serve_socket(self, socket: ServerConnection) -> None:
        if self.close_code:
            await socket.close(self.close_code)
            return
        self._sockets.add(socket)
        try:
            async for data in socket:
                messages = (
                    [codec.decode_chunk(data)]
                    if isinstance(data, bytes)
                    else codec.decode_agent_frame(data)
                )
                for answer in self._answers(messages):
                    await socket.send(codec.encode(answer), text=True)
        finally:
            self._sockets.discard(socket)

    def _answers(self, messages: Iterable[Any]) -> list[ServerMessage]:
        return [answer for message in messages for answer in self.brain.handle(message)]

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request after the other; an upgrade goes on to the socket's port."""
        self._pipes.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                lines = head.decode("latin-1").split("\r\n")
                pairs = (line.partition(":") for line in lines[1:] if line)
                headers = {name.lower(): value.strip() for name, _, value in pairs}
                if headers.get("upgrade", "").lower() == "websocket":
                    await self._upgrade(head, headers, reader, writer)
                    break
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                status, answer = self._request(lines[0].split(" ")[1], headers, body)
                more = {"ETag": f'"{self.dial.revision}"', "Retry-After": self.retry_after}
                _respond(writer, status, answer, more)
        self._pipes.discard(writer)
        writer.close()

    async def _upgrade(
        self,
        head: bytes,
        headers: dict[str, str],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Let the WebSocket through, or answer as a proxy would."""
        self.requests.append("upgrade")
        is_known = self.token in headers.get("sec-websocket-protocol", "")
        status = self.block_websocket or (0 if is_known else 403)
        if status:
            _respond(writer, status, b"{}")
            return
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._socket_port)
        self._pipes.add(inner_writer)
        inner_writer.write(head)
        await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        self._pipes.discard(inner_writer)

    def _request(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Return status and body of one HTTP request."""
        self.requests.append(path)
        if self.http_status != 200:
            return self.http_status, b'{"code": "x", "detail": "as the test wants"}'
        if path == "/api/v1/agents/register/":
            return self._register(json.loads(body))
        if headers.get("authorization") != f"Bearer {self.token}":
            return 401, b'{"code": "unauthenticated", "detail": "no such credential"}'
        if path.startswith("/api/v1/tasks/agent"):
            return self.dial.probe_set(headers)
        if path == "/api/v1/results":
            return self.dial.store(body)
        if path.startswith("/api/v1/plugins/"):
            return self.plugins.answer(path, body)
        if path == "/api/v1/nodes/frames":
            return 200, codec.encode(_answer(self._answers(_split(body))))
        beat = codec.decode_heartbeat(body)
        answers = [*self._answers([*beat.messages, beat]), *self.queued]
        self.queued = []
        return 200, codec.encode(_answer(answers))

    def _register(self, body: dict[str, Any]) -> tuple[int, bytes]:
        self.registrations.append(body)
        if body["enroll_token"] != ENROLL_TOKEN:
            return 401, b'{"code": "invalid_token", "detail": "The token is used."}'
        answer = {"agent_id": AGENT_ID, "agent_token": self.token, "heartbeat_interval": 0.2}
        return 201, json.dumps(answer).encode()


@contextlib.asynccontextmanager
async def fake_server(port: int = 0) -> AsyncIterator[FakeServer]:
    """Run a server on a free port of the loopback for the length of the block."""
    server = FakeServer()
    async with serve(
        server._serve_socket,
        "127.0.0.1",
        0,
        subprotocols=["agent-token"],
        max_size=2**24,
        compression=None,
    ) as sockets:
        server._socket_port = next(iter(sockets.sockets)).getsockname()[1]
        front = await asyncio.start_server(server._front, "127.0.0.1", port)
        server.url = f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}"
        try:
            yield server
        finally:
            await server.cut()
            front.close()


def spec(task_id: int = 1, script: str = "true", **changes: Any) -> TaskSpec:
    """Return an offer of a shell script."""
    values = {"offer": 1, "installation": INSTALLATION, "name": "t", "script_type": "shell"}
    return TaskSpec(task_id=task_id, script_content=script, **(values | changes))


def _ref(message: Any) -> TaskRef:
    return TaskRef(task_id=message.task_id, offer=message.offer)


def _answer(messages: list[ServerMessage]) -> Answer:
    """Return messages as the one object of the HTTP transport."""

    def all_of(kind: type, name: str) -> tuple[Any, ...]:
        parts = (getattr(one, name) for one in messages if isinstance(one, kind))
        return tuple(entry for part in parts for entry in part)

    return Answer(
        acks=all_of(Ack, "message_ids"),
        log_next=all_of(Ack, "log_next"),
        tasks=all_of(TasksBatch, "tasks"),
        go=all_of(Go, "tasks"),
        cancel_tasks=all_of(CancelTasksBatch, "tasks"),
        desired=all_of(Reconcile, "desired"),
        errors=tuple(one for one in messages if isinstance(one, Rejected)),
        heartbeat_interval=0.2,
        epoch=1,
        installation=INSTALLATION,
    )


def _split(body: bytes) -> list[LogChunk]:
    """Return the chunks of a frames request."""
    chunks, position = [], 0
    while position < len(body):
        (length,) = struct.unpack_from("!I", body, position)
        chunks.append(codec.decode_chunk(body[position + 4 : position + 4 + length]))
        position += 4 + length
    return chunks


def _respond(
    writer: asyncio.StreamWriter, status: int, body: bytes, more: Mapping[str, str] = {}
) -> None:
    headers = {"Content-Length": len(body), **{name: text for name, text in more.items() if text}}
    head = "".join(f"{name}: {text}\r\n" for name, text in headers.items())
    writer.write(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until the end."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(256 * 1024):
            writer.write(data)
            await writer.drain()
    writer.close()
