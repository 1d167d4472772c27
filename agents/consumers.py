"""The push transport: one socket per host, the same messages as HTTP, answered sooner.

A beat is acknowledged from memory on the event loop, without a thread and without the
database; everything else goes to the inbox, whose answer comes back after its commit.
No channel layer: what the server sends on its own comes through `connections`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from agent_client.protocol import codec
from agent_client.protocol.messages import (
    Ack,
    Heartbeat,
    Hello,
    LogChunk,
    Message,
    Rejected,
    ServerMessage,
    Welcome,
)
from agents import connections, credentials, hot, inbox, instances, pace
from agents.connections import Connection
from agents.principal import AgentPrincipal
from agents.reply import Reply, next_message_id
from dialer_platform.errors import DomainError, Unauthenticated
from dialer_platform.storage.installation import installation_id

log = logging.getLogger("dialer.agents.socket")

SUBPROTOCOL = "agent-token"
HELLO_SECONDS = 15.0
MAX_UNCONFIRMED = 1_024
"""Messages of one host that wait for their commit; beyond it the host is told to wait."""
MAX_UNSTORED_BYTES = 16 * 1024 * 1024
"""Log bytes of one host that wait for the disk."""
MAX_FRAME_BYTES = 1024 * 1024
FORBIDDEN_HEADERS = frozenset({b"cookie", b"origin"})


class AgentConsumer(AsyncConsumer):  # type: ignore[misc]  # channels has no types
    """One host's socket: handshake, hello, messages in, messages out."""

    channel_layer_alias = None

    principal: AgentPrincipal
    connection: Connection | None = None
    _is_closing = False
    unconfirmed = 0
    unstored_bytes = 0

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Handle one event without the thread hop that channels makes for each."""
        kind = message["type"]
        if kind == "websocket.receive":
            self.receive(message)
        elif kind == "websocket.connect":
            await self.connect()
        elif kind == "websocket.disconnect":
            self.leave()
            raise StopConsumer

    # --- handshake ------------------------------------------------------------

    async def connect(self) -> None:
        """Accept the socket of a host that proves who it is; refuse browsers."""
        try:
            self.principal = await self._authenticate()
        except DomainError as error:
            log.info("a socket was refused", extra={"data": {"code": error.code}})
            await self.send({"type": "websocket.close", "code": connections.CLOSE_UNAUTHENTICATED})
            raise StopConsumer from error
        await self.send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        self._outgoing: asyncio.Task[None] | None = None
        self._deadline = asyncio.get_running_loop().call_later(
            HELLO_SECONDS, self._finish, connections.CLOSE_BAD_REQUEST
        )

    async def _authenticate(self) -> AgentPrincipal:
        """Return whom the token in the subprotocols belongs to; raises a DomainError."""
        offered = self.scope.get("subprotocols") or []
        if {name.lower() for name, _ in self.scope["headers"]} & FORBIDDEN_HEADERS:
            raise Unauthenticated("This socket is not for browsers.", code="not_for_browsers")
        if len(offered) != 2 or offered[0] != SUBPROTOCOL:
            raise Unauthenticated("Offer the subprotocols agent-token and the token.")
        principal = await credentials.authenticate(offered[1].strip())
        if self.scope["path"].rstrip("/").rpartition("/")[2] != principal.agent_id:
            raise Unauthenticated("The credential belongs to another agent.", code="agent_mismatch")
        return principal

    # --- in -------------------------------------------------------------------

    def receive(self, event: dict[str, Any]) -> None:
        """Take one frame; never waits, so that a beat is never behind a slow message."""
        try:
            data = event.get("bytes")
            if data is not None:
                self._receive_chunk(codec.decode_chunk(data))
            else:
                self._receive_messages(codec.decode_agent_frame(event["text"]))
        except codec.ProtocolError as error:
            self._refuse("", "invalid_message", str(error))

    def _receive_messages(self, messages: list[Any]) -> None:
        """Answer beats from memory and queue the rest."""
        for hello in (one for one in messages if isinstance(one, Hello)):
            if not self._greet(hello):
                return
        if self.connection is None:
            self._finish(connections.CLOSE_BAD_REQUEST)
            return
        if any(isinstance(m, Heartbeat) and not self._is_own(m) for m in messages):
            self._refuse("", "agent_mismatch", "The credential belongs to another agent.")
            return
        for chunk in (one for one in messages if isinstance(one, LogChunk)):
            self._receive_chunk(chunk)
        self._submit([one for one in messages if not isinstance(one, LogChunk)])
        beats = tuple(one.message_id for one in messages if isinstance(one, Heartbeat))
        if beats:
            self.connection.send([self._beat_ack(beats)])

    def _submit(self, messages: list[Message]) -> None:
        """Queue what has to be stored; beyond the window the host is told to wait."""
        count = len(messages)
        try:
            if self.unconfirmed + count > MAX_UNCONFIRMED:
                raise inbox.SlowDown("Too many messages are unconfirmed.")
            if inbox.submit(self.principal, messages, self._on_loop(self._stored, count)):
                self.unconfirmed += count
        except inbox.SlowDown as error:
            for message in messages:
                if not isinstance(message, Heartbeat):
                    self._refuse(message.message_id, error.code, error.detail)

    def _receive_chunk(self, chunk: LogChunk) -> None:
        """Queue log bytes for their lane."""
        size = len(chunk.frames)
        if self.connection is None:
            self._finish(connections.CLOSE_BAD_REQUEST)
            return
        try:
            if self.unstored_bytes + size > MAX_UNSTORED_BYTES:
                raise inbox.SlowDown("Too many log bytes wait to be stored.")
            inbox.chunk(self.principal, chunk, self._on_loop(self._chunk_stored, size))
            self.unstored_bytes += size
        except inbox.SlowDown as error:
            self._refuse(chunk.message_id, error.code, error.detail)

    def _greet(self, hello: Hello) -> bool:
        """Register the connection at its first hello; False when it is refused."""
        if self.connection is not None:
            return True
        if hello.agent_id != self.principal.agent_id:
            self._finish(connections.CLOSE_UNAUTHENTICATED)
            return False
        if instances.is_other_alive(self.principal, hello.instance_id):
            hot.note_conflict(self.principal, self._address())
            self._finish(connections.CLOSE_INSTANCE_CONFLICT)
            return False
        connection = Connection(self.principal, hello.instance_id)
        connections.register(connection)
        self._deadline.cancel()
        self.connection = connection
        hot.note_address(self.principal, self._address())
        self._outgoing = asyncio.create_task(self._send_outgoing(connection))
        return True

    # --- out ------------------------------------------------------------------

    def _on_loop(self, function: Any, amount: int) -> Any:
        """Return a callback for other threads that calls the function on this loop."""
        loop = asyncio.get_running_loop()

        def call(reply: Reply) -> None:
            loop.call_soon_threadsafe(function, amount, reply)

        return call

    def _stored(self, count: int, reply: Reply) -> None:
        """Send the answer of stored messages; the first one with an epoch is the welcome."""
        self.unconfirmed -= count
        if self.connection is None:
            return
        messages = reply.to_messages()
        if reply.epoch:
            self.principal = AgentPrincipal(
                self.principal.agent_id, self.principal.tenant_id, reply.epoch
            )
            self.connection.principal = self.principal
            self.connection.welcome([self._welcome(reply), *messages])
        elif not self.connection.is_welcome:
            self._finish(connections.CLOSE_TOO_SLOW)  # The hello could not be stored.
        else:
            self.connection.send(messages)

    def _chunk_stored(self, size: int, reply: Reply) -> None:
        """Send what became of log bytes."""
        self.unstored_bytes -= size
        if self.connection:
            self.connection.send(reply.to_messages())

    def _welcome(self, reply: Reply) -> Welcome:
        """Return the answer to hello; what is wanted follows in a message of its own."""
        return Welcome(
            message_id=next_message_id(),
            epoch=reply.epoch,
            heartbeat_interval=pace.heartbeat_interval(),
            installation=installation_id(),
            server_time=time.time(),
        )

    @staticmethod
    def _beat_ack(beats: tuple[str, ...]) -> Ack:
        """Return the acknowledgement of beats, which also sets the pace."""
        return Ack(
            message_id=beats[0],
            message_ids=beats,
            heartbeat_interval=pace.heartbeat_interval(),
            probes_revision=0,
        )

    async def _send_outgoing(self, connection: Connection) -> None:
        """Send what is queued, many messages in one frame, until the socket is closed."""
        while messages := await connection.take():
            for text in frames_of(messages):
                await self.send({"type": "websocket.send", "text": text})
        await self.send({"type": "websocket.close", "code": connection.close_code})

    def _refuse(self, message_id: str, code: str, detail: str) -> None:
        """Tell the host that one message was not taken."""
        refusal = Rejected(message_id=message_id, code=code, detail=detail)
        if self.connection:
            self.connection.send([refusal])
        else:
            self._finish(connections.CLOSE_BAD_REQUEST)

    def _finish(self, code: int) -> None:
        """Close the socket."""
        if self.connection:
            self.connection.close(code)
        elif not self._is_closing:
            self._is_closing = True
            closing = self.send({"type": "websocket.close", "code": code})
            self._outgoing = asyncio.ensure_future(closing)

    def leave(self) -> None:
        """Forget the connection; what is not yet acknowledged is repeated by the host."""
        if deadline := getattr(self, "_deadline", None):
            deadline.cancel()
        if self.connection:
            connections.unregister(self.connection)
            self.connection = None
            if self._outgoing:
                self._outgoing.cancel()

    def _is_own(self, beat: Heartbeat) -> bool:
        """Return whether a beat names the agent whose credential opened the socket."""
        return beat.agent_id == self.principal.agent_id

    def _address(self) -> str:
        """Return the peer's address."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""


def frames_of(messages: list[ServerMessage]) -> list[str]:
    """Return the messages as text frames of about a megabyte; scripts can be that long."""
    texts: list[str] = []
    parts: list[str] = []
    size = 0
    for message in messages:
        part = codec.encode(message).decode()
        if parts and size + len(part) > MAX_FRAME_BYTES:
            texts.append(f"[{','.join(parts)}]")
            parts, size = [], 0
        parts.append(part)
        size += len(part)
    return [*texts, f"[{','.join(parts)}]"]
