"""The one connection to the server: made, kept, lost, made again.

Owns which transport is used and when the next try is due. The WebSocket comes first;
where it does not get through, polling carries on and the socket is tried again beside it.
A heartbeat that nobody answers for long ends the connection: half-open paths look alive.
Never gives up and never knows what a message means: it hands every one to `on_message`.
All methods are for the loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from agent_client.catalogue import announce
from agent_client.protocol.messages import Ack, Heartbeat, Hello, LogChunk, ServerMessage, Welcome
from agent_client.protocol.session import Session
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import (
    CONNECT_TIMEOUT_SECONDS,
    ConnectionFailed,
    CredentialRefused,
    HandshakeBlocked,
    Transport,
)

logger = logging.getLogger(__name__)

UPGRADE_SECONDS = 30.0
"""How often the WebSocket is tried again while polling carries the messages."""


@dataclass(frozen=True, slots=True)
class Ways:
    """The transports that may be used, and what they are made of; at least one is set."""

    hello: Callable[[], Hello]
    websocket: Callable[[str], Transport] | None = None
    polling: Callable[[str], Transport] | None = None
    upgrade_seconds: float = UPGRADE_SECONDS


class Link:
    """Keeps one transport connected and moves the session's messages over it."""

    def __init__(
        self,
        *,
        ways: Ways,
        backoff: Backoff,
        session: Session,
        on_message: Callable[[ServerMessage], None],
        on_lost: Callable[[], None],
    ) -> None:
        """on_message gets every message of the server, on_lost each end of a connection."""
        self._ways = ways
        self._backoff = backoff
        self._session = session
        self._on_message = on_message
        self._on_lost = on_lost
        self._transport: Transport | None = None
        self._beat: Heartbeat | None = None
        self._work = asyncio.Event()
        self._ready = asyncio.Event()
        self._broken: asyncio.Future[None] | None = None

    @property
    def is_ready(self) -> bool:
        """Return whether the server has welcomed this connection."""
        return self._ready.is_set()

    @property
    def transport_name(self) -> str:
        """Return the name of the transport in use, empty without a connection."""
        return self._transport.name if self._transport else ""

    async def wait_ready(self) -> None:
        """Wait until there is a welcomed connection."""
        await self._ready.wait()

    def flush(self) -> None:
        """Send what the session lets go, now."""
        self._work.set()

    def send_beat(self, beat: Heartbeat) -> None:
        """Send a heartbeat; the newest replaces one that did not go yet."""
        self._beat = beat
        self._work.set()

    async def send_chunk(self, chunk: LogChunk) -> None:
        """Send a log chunk over the present connection; raises ConnectionFailed."""
        if self._transport is None or not self.is_ready:
            raise ConnectionFailed("there is no connection")
        await self._transport.send_chunk(chunk)

    def drop(self, reason: str) -> None:
        """End the present connection, because nobody answers on it."""
        if self._broken and not self._broken.done():
            self._broken.set_exception(ConnectionFailed(reason))

    async def run(self) -> None:
        """Connect and stay connected until canceled."""
        while True:
            pause_seconds = await self._one_round()
            if pause_seconds:
                announce(
                    logger,
                    "reconnecting",
                    seconds=pause_seconds,
                    server=self._backoff.address,
                    attempt=self._backoff.failures,
                )
            await asyncio.sleep(pause_seconds)

    async def _one_round(self) -> float:
        """Use the connection as long as it lasts; return the pause before the next try."""
        address = self._backoff.address
        try:
            await self._connect_and_serve(address)
        except CredentialRefused as error:
            announce(logger, "error", code=error.code, detail=error.detail, remedy=error.remedy)
            return self._backoff.refused()
        except ConnectionFailed as error:
            if error.code == "certificate_refused":
                announce(logger, "error", code=error.code, detail=error.detail, remedy=error.remedy)
            announce(logger, "disconnected", server=address, error=error.detail)
            return self._backoff.failed(at_least_seconds=error.retry_after_seconds or 0.0)
        return 0.0

    async def _connect_and_serve(self, address: str) -> None:
        """Try the ways in order of preference; returns only when the socket takes over."""
        ways = self._ways
        if ways.websocket is not None:
            try:
                await self._serve(ways.websocket(address), address)
            except HandshakeBlocked as error:
                if ways.polling is None:
                    raise
                logger.info("no WebSocket here (%s), polling instead", error.detail)
        if ways.polling is not None:
            await self._serve(ways.polling(address), address, watch_for_socket=True)

    async def _serve(
        self, transport: Transport, address: str, *, watch_for_socket: bool = False
    ) -> None:
        """Use one transport until it breaks (raises why) or the socket works (returns)."""
        try:
            await transport.connect(self._ways.hello())
            self._transport = transport
            self._broken = asyncio.get_running_loop().create_future()
            jobs = [self._receive(transport, address), self._send(transport), self._broken]
            if watch_for_socket and self._ways.websocket is not None:
                jobs.append(self._await_socket(address))
            await _first_end([asyncio.ensure_future(job) for job in jobs])
        finally:
            self._ready.clear()
            self._transport = None
            self._session.disconnected()
            self._on_lost()
            await transport.close()

    async def _receive(self, transport: Transport, address: str) -> None:
        """Hand on what the server says; the first acknowledgement proves the connection."""
        async for message in transport.received():
            if isinstance(message, Welcome):
                announce(logger, "connected", server=address, transport=transport.name)
                self._ready.set()
                self._work.set()
            elif isinstance(message, Ack):
                if message.message_ids:
                    self._backoff.succeeded()
                self._session.confirm(message.message_ids)
                self._work.set()
            self._on_message(message)

    async def _send(self, transport: Transport) -> None:
        """Send what waits, whenever something does and the window has room."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._ready.wait()
        except TimeoutError:
            raise HandshakeBlocked("nobody answers on this connection") from None
        while True:
            await self._work.wait()
            self._work.clear()
            beat, self._beat = self._beat, None
            messages = [*self._session.take(), *([beat] if beat else [])]
            if messages:
                await transport.send(messages)

    async def _await_socket(self, address: str) -> None:
        """Return once a WebSocket is answered; it is closed again, the next round makes its own."""
        while self._ways.websocket is not None:
            await asyncio.sleep(self._ways.upgrade_seconds)
            socket = self._ways.websocket(address)
            with contextlib.suppress(ConnectionFailed, CredentialRefused):
                await socket.connect(self._ways.hello())
                async for _ in socket.received():
                    await socket.close()
                    return
            await socket.close()


async def _first_end(jobs: list[asyncio.Future[None]]) -> None:
    """Wait for the first job that ends, cancel the others, and raise what it raised."""
    try:
        done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
        for job in done:
            job.result()
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
