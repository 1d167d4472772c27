"""The push transport: one socket per host, the same messages as HTTP, answered sooner.

Owns the handshake and the bytes; what is said is the conversation's. No channel layer:
what the server sends on its own comes through `connections`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from typing import Any

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from agent_client.protocol import codec
from agent_client.protocol.messages import (
    MAX_MESSAGES_PER_FRAME,
    ServerMessage,
    TasksBatch,
)
from agents import connections, credentials, instances
from agents.admission import take_turn
from agents.connections import Connection
from agents.conversation import Conversation
from agents.principal import AgentPrincipal
from agents.raw_http import client_address
from agents.reply import next_message_id
from dialer_platform.errors import DomainError, Unauthenticated

log = logging.getLogger("dialer.agents.socket")

SUBPROTOCOL = "agent-token"
HELLO_SECONDS = 15.0
MAX_FRAME_BYTES = 1024 * 1024
FORBIDDEN_HEADERS = frozenset({b"cookie", b"origin"})


class AgentConsumer(AsyncConsumer):  # type: ignore[misc]  # channels has no types
    """One host's socket."""

    channel_layer_alias = None

    conversation: Conversation | None = None
    _outgoing: asyncio.Task[None] | None = None
    _deadline: asyncio.TimerHandle | None = None

    async def dispatch(self, event: dict[str, Any]) -> None:
        """Handle one event without the thread hop that channels makes for each."""
        kind = event["type"]
        if kind == "websocket.receive" and self.conversation:
            data = event.get("bytes")
            self.conversation.receive(event["text"] if data is None else data)
        elif kind == "websocket.connect":
            await self.connect()
        elif kind == "websocket.disconnect":
            self.leave()
            raise StopConsumer

    async def connect(self) -> None:
        """Accept the socket of a host that proves who it is; refuse browsers.

        In a crowd each waits for its turn; when the line is too long, it is told to come again.
        """
        try:
            principal = await self._authenticate()
            elsewhere = await instances.stored(principal)
        except DomainError as error:
            log.info("a socket was refused", extra={"data": {"code": error.code}})
            await self.send({"type": "websocket.close", "code": connections.CLOSE_UNAUTHENTICATED})
            raise StopConsumer from error
        is_admitted = await take_turn()
        await self.send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        if not is_admitted:
            await self.send({"type": "websocket.close", "code": connections.CLOSE_TRY_AGAIN})
            raise StopConsumer
        self.conversation = Conversation(
            principal,
            client_address(self.scope),
            on_hello=self.begin,
            close=self.close,
            elsewhere=elsewhere,
        )
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(HELLO_SECONDS, self.close, connections.CLOSE_BAD_REQUEST)

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

    def begin(self, connection: Connection) -> None:
        """Send what the host is told from now on: it has said hello."""
        if self._deadline:
            self._deadline.cancel()
        self._outgoing = asyncio.create_task(self._send_outgoing(connection))

    async def _send_outgoing(self, connection: Connection) -> None:
        """Send what is queued, many messages in one frame, until the socket is closed."""
        try:
            while messages := await connection.take():
                for text in frames_of(messages):
                    await self.send({"type": "websocket.send", "text": text})
        except Exception:  # whatever it was, a host that hears nothing must come back
            log.exception("a socket could not be written to")
            connection.close(connections.CLOSE_TOO_SLOW)
        await self._send_close(connection.close_code)

    def close(self, code: int) -> None:
        """Close the socket: by the sender once there is one, so that nothing follows."""
        if self.conversation and self.conversation.connection:
            self.conversation.connection.close(code)
        elif self._outgoing is None:
            self._outgoing = asyncio.create_task(self._send_close(code))

    async def _send_close(self, code: int) -> None:
        """Tell the server to close the socket."""
        await self.send({"type": "websocket.close", "code": code})

    def leave(self) -> None:
        """Forget the host's connection: the socket is closed."""
        if self._deadline:
            self._deadline.cancel()
        if self.conversation:
            self.conversation.leave()
            self.conversation = None
        if self._outgoing:
            self._outgoing.cancel()


def frames_of(messages: Sequence[ServerMessage]) -> list[str]:
    """Return the messages as text frames that a host reads: of a megabyte, 256 messages each."""
    frames: list[str] = []
    parts: list[str] = []
    size = 0
    for part in (text for message in messages for text in _pieces(message)):
        if parts and (size + len(part) > MAX_FRAME_BYTES or len(parts) == MAX_MESSAGES_PER_FRAME):
            frames.append(f"[{','.join(parts)}]")
            parts, size = [], 0
        parts.append(part)
        size += len(part)
    return [*frames, f"[{','.join(parts)}]"]


def _pieces(message: ServerMessage) -> Iterator[str]:
    """Yield the text of a message, offers of many long scripts in several messages.

    A single script may be longer than a frame should be; it is sent as it is.
    """
    text = codec.encode(message).decode()
    is_short = len(text) <= MAX_FRAME_BYTES
    if is_short or not isinstance(message, TasksBatch) or len(message.tasks) == 1:
        yield text
        return
    middle = len(message.tasks) // 2
    for tasks in (message.tasks[:middle], message.tasks[middle:]):
        yield from _pieces(TasksBatch(message_id=next_message_id(), tasks=tasks))
