"""The preferred transport: one WebSocket, a message in a text frame, a log chunk in a binary.

The token travels in the subprotocol, as the server demands. Compression is off: log bytes
are sent once and a compressor costs more than the network it saves. A ping finds a dead
path; the answer to the heartbeat proves the whole of it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from agent_client.addresses import is_loopback
from agent_client.config import ws_url
from agent_client.protocol import codec
from agent_client.protocol.messages import (
    Heartbeat,
    Hello,
    LogChunk,
    QueuedMessage,
    ServerMessage,
)
from agent_client.transport.base import (
    CONNECT_TIMEOUT_SECONDS,
    REDIRECTS,
    ConnectionFailed,
    CredentialRefused,
    Endpoint,
    HandshakeBlocked,
    refused_redirect,
)

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import ConnectionClosed, InvalidStatus

logger = logging.getLogger(__name__)

SUBPROTOCOL = "agent-token"
MAX_RECEIVED_BYTES = 16 * 1024 * 1024
"""An offer carries a script of up to 1 MiB, and several ride in one frame."""
PING_INTERVAL_SECONDS = 20.0
WRITE_BUFFER_BYTES = 1024 * 1024
"""So much may wait in the socket before send waits: two chunks, memory stays flat."""
CLOSE_REFUSED = 4401
CLOSE_TRY_AGAIN = 1013
CLOSE_OTHER_INSTANCE = 4409


class WebSocketTransport:
    """One WebSocket connection to one address."""

    name = "websocket"

    def __init__(self, endpoint: Endpoint) -> None:
        """Name where to connect; nothing happens before `connect`."""
        self._endpoint = endpoint
        self._socket: ClientConnection | None = None
        self._heard = False

    async def connect(self, hello: Hello) -> None:
        """Open the socket and send hello; raises as Transport.connect says."""
        from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
        from websockets.typing import Subprotocol

        endpoint = self._endpoint
        context = await asyncio.to_thread(endpoint.tls_context)
        try:
            self._socket = await _connector()(
                f"{ws_url(endpoint.server)}/ws/agent/{endpoint.agent_id}",
                subprotocols=[Subprotocol(SUBPROTOCOL), Subprotocol(endpoint.agent_token)],
                compression=None,
                max_size=MAX_RECEIVED_BYTES,
                write_limit=WRITE_BUFFER_BYTES,
                open_timeout=CONNECT_TIMEOUT_SECONDS,
                ping_interval=PING_INTERVAL_SECONDS,
                ping_timeout=PING_INTERVAL_SECONDS,
                close_timeout=1,
                proxy=None if is_loopback(endpoint.server) else True,
                ssl=context,
            )
        except InvalidStatus as error:
            raise _answered(endpoint.server, error) from error
        except (WebSocketException, EOFError, ImportError) as error:
            # ImportError: the environment names a SOCKS proxy, for which nothing is installed.
            raise HandshakeBlocked(str(error)) from error
        except (OSError, TimeoutError) as error:
            raise ConnectionFailed(str(error) or type(error).__name__) from error
        try:
            await self._socket.send(codec.encode(hello), text=True)
        except ConnectionClosed as error:
            # A server that refuses may close before our first word; its code says why.
            raise _classify(error, heard=False) from error

    async def send(self, messages: Sequence[QueuedMessage | Heartbeat]) -> None:
        """Send the messages as one text frame."""
        data = codec.encode(messages[0] if len(messages) == 1 else messages)
        await self._write(data, text=True)

    async def send_chunk(self, chunk: LogChunk) -> None:
        """Send the chunk as one binary frame."""
        await self._write(codec.encode_chunk(chunk), text=False)

    async def _write(self, data: bytes, *, text: bool) -> None:
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            raise ConnectionFailed("the socket is not open")
        try:
            await self._socket.send(data, text=text)
        except ConnectionClosed as error:
            raise ConnectionFailed(str(error)) from error

    async def received(self) -> AsyncIterator[ServerMessage]:
        """Yield the server's messages until the socket closes, then raise why."""
        from websockets.exceptions import ConnectionClosed

        if self._socket is None:
            raise ConnectionFailed("the socket is not open")
        try:
            while True:
                for message in _decode(await self._socket.recv(decode=False)):
                    self._heard = True
                    yield message
        except ConnectionClosed as error:
            raise _classify(error, heard=self._heard) from error

    async def close(self) -> None:
        """Close the socket politely, within a second."""
        if self._socket is not None:
            await self._socket.close()


@cache
def _connector() -> type[connect]:
    """Return what opens a socket; imported late, for it is 5 MiB that polling does not need."""
    from websockets.asyncio.client import connect

    class SameServer(connect):
        """Follows no redirect: the library takes the subprotocol, our token, to any host."""

        def process_redirect(self, exc: Exception) -> Exception | str:
            """Leave the redirect as the error that it is."""
            return exc

    return SameServer


def _answered(server: str, error: InvalidStatus) -> ConnectionFailed | CredentialRefused:
    """Return what an upgrade means that was answered with a status."""
    response = error.response
    status = response.status_code
    if status == 401:
        return CredentialRefused()
    if status in REDIRECTS:
        location = response.headers.get("Location", "")
        return HandshakeBlocked(refused_redirect(server, status, location))
    return HandshakeBlocked(f"the upgrade was answered with HTTP {status}")


def _decode(data: bytes | str) -> list[ServerMessage]:
    """Return the messages of a frame; one that cannot be read is logged and passed over."""
    try:
        return codec.decode_server_frame(data, on_unread=_note_unread)
    except codec.ProtocolError as error:
        logger.warning("a frame of the server was not understood: %s", error)
        return []


def _note_unread(one: codec.Unread) -> None:
    """Log a message that is not understood; a newer server may have kinds of its own."""
    logger.warning("a message of the server was not understood: %s", one.detail)


def _classify(error: ConnectionClosed, *, heard: bool) -> ConnectionFailed | CredentialRefused:
    """Return what a closed socket means for the next try.

    One that closes before its first word looks like a proxy that lets the handshake pass
    and nothing else.
    """
    code = error.rcvd.code if error.rcvd else 1006
    reason = error.rcvd.reason if error.rcvd else ""
    if code == CLOSE_REFUSED:
        return CredentialRefused(reason)
    if code == CLOSE_OTHER_INSTANCE:
        return CredentialRefused(reason, code="instance_conflict")
    if code == CLOSE_TRY_AGAIN:
        # A crowd at the door is no proxy: polling instead would only add to it.
        return ConnectionFailed("the server asks to come again", code="server_busy")
    kind = ConnectionFailed if heard else HandshakeBlocked
    return kind(reason or f"the socket was closed ({code})")
