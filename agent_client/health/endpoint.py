"""The local endpoint: a socket file of the state directory, and a loopback port if one is set.

Read only, one short request per connection, bounded in size, time and number. The socket
file needs no port and no credential: who may open it is the owner of the state directory.
Never reachable from another host.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from agent_client.health.pages import Page, page_for
from agent_client.health.report import Health

logger = logging.getLogger(__name__)

SOCKET_FILE = "health.sock"
NOT_HERE = Page(
    421,
    "text/plain; charset=utf-8",
    b"Ask for 127.0.0.1, [::1] or localhost: other names are not answered here.\n",
)
LOOPBACK = "127.0.0.1"
MAX_REQUEST_BYTES = 4096
REQUEST_SECONDS = 5.0
MAX_AT_ONCE = 32
MAX_HEADERS = 64
HOSTS = frozenset({"127.0.0.1", "[::1]", "localhost"})
"""Names of this machine. A page of the web that has its own name point here is none."""
_REASONS = {
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    503: "Service Unavailable",
}


class HealthEndpoint:
    """Answers questions about the agent from the same host."""

    def __init__(self, state_dir: Path, *, port: int, ask: Callable[[], Health]) -> None:
        """ask is called for each request; port 0 opens no port."""
        self._state_dir = state_dir
        self._port = port
        self._ask = ask
        self._servers: list[asyncio.Server] = []
        self._open = 0
        self.addresses: list[str] = []
        """Where it listens, for people."""

    async def start(self) -> None:
        """Listen; an agent that cannot works without, and says so."""
        try:
            self._servers.append(await self._listen_on_file())
            self.addresses.append(SOCKET_FILE)
        except OSError as error:
            logger.warning("no local health endpoint: %s", error)
        if self._port:
            try:
                server = await asyncio.start_server(self._answer_port, LOOPBACK, self._port)
                self._servers.append(server)
                self.addresses.append(f"{LOOPBACK}:{self._port}")
            except OSError as error:
                logger.warning("port %d for health is not free: %s", self._port, error)

    async def stop(self) -> None:
        """Listen no more."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        self.addresses.clear()
        with contextlib.suppress(OSError):
            (self._state_dir / SOCKET_FILE).unlink()

    async def _listen_on_file(self) -> asyncio.Server:
        """Listen on the socket file; a longer path than a socket name may have is no problem."""
        (self._state_dir / SOCKET_FILE).unlink(missing_ok=True)
        directory = os.open(self._state_dir, os.O_RDONLY | os.O_DIRECTORY)
        try:
            name = f"/proc/self/fd/{directory}/{SOCKET_FILE}"
            server = await asyncio.start_unix_server(self._answer_file, name)
            (self._state_dir / SOCKET_FILE).chmod(0o600)
            return server
        finally:
            os.close(directory)

    async def _answer_file(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer at the socket file, which no browser can open, whatever it is called."""
        await self._answer(reader, writer, is_port=False)

    async def _answer_port(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer at the port, to those that call it by a name of this machine."""
        await self._answer(reader, writer, is_port=True)

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_port: bool
    ) -> None:
        """Answer one request and close."""
        self._open += 1
        try:
            if self._open <= MAX_AT_ONCE:
                async with asyncio.timeout(REQUEST_SECONDS):
                    line = (await reader.readline())[:MAX_REQUEST_BYTES]
                    headers = await _headers(reader)
                    is_meant = not is_port or all(map(is_this_machine, _hosts_in(headers)))
                    writer.write(_encode(self._page(line) if is_meant else NOT_HERE))
                    await writer.drain()
        except (TimeoutError, ValueError, ConnectionError):
            # A client that is slow, sends too long a line or leaves gets nothing.
            logger.debug("a health request was not answered")
        finally:
            self._open -= 1
            writer.close()

    def _page(self, line: bytes) -> Page:
        """Return the answer to a request line."""
        words = line.decode("latin-1").split()
        if len(words) < 2 or words[0] not in ("GET", "HEAD"):
            return Page(405, "text/plain; charset=utf-8", b"Only GET is answered here.\n")
        page = page_for(words[1].partition("?")[0], self._ask())
        text = b"Ask for /live, /ready, /status or /metrics.\n"
        return page or Page(404, "text/plain; charset=utf-8", text)


async def _headers(reader: asyncio.StreamReader) -> list[bytes]:
    """Return the lines up to the empty one; raises ValueError for too many."""
    lines: list[bytes] = []
    while line := (await reader.readline()).strip():
        lines.append(line)
        if len(lines) > MAX_HEADERS:
            raise ValueError("too many headers")
    return lines


def _hosts_in(headers: Iterable[bytes]) -> Iterator[str]:
    """Yield what the request calls the server; a program may leave it out, a browser never."""
    for line in headers:
        name, _, value = line.decode("latin-1").partition(":")
        if name.strip().lower() == "host":
            yield value.strip()


def is_this_machine(host: str) -> bool:
    """Return whether a Host header, with or without a port, names this machine."""
    name, colon, port = host.lower().rpartition(":")
    if not colon or "]" in port:  # the colon is one of an IPv6 address
        name, port = host.lower(), "0"
    return name in HOSTS and port.isascii() and port.isdigit()


def _encode(page: Page) -> bytes:
    """Return an answer as HTTP."""
    head = (
        f"HTTP/1.1 {page.status} {_REASONS[page.status]}\r\nContent-Type: {page.content_type}\r\n"
        f"Content-Length: {len(page.body)}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + page.body
