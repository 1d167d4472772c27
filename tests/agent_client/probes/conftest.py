"""Servers that behave and servers that do not, and both drivers behind one fixture."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent_client.probes.blocking import run_blocking
from agent_client.probes.certificates import client_context
from agent_client.probes.kind import Finding
from agent_client.probes.registry import prepare
from agent_client.probes.resolver import Resolver
from agent_client.probes.selector_loop import SelectorLoop
from agent_client.protocol.probes import ProbeTask
from tests.agent_client.probes.certificates import Authority

Handler = Callable[[socket.socket], None]
Probe = Callable[..., Finding]
Serve = Callable[..., int]


class Server:
    """Accepts on loopback and gives each connection to the handler in a thread of its own."""

    def __init__(self, handler: Handler, context: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self.context = context
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.suppress(OSError):
            connection = plain
            if self.context is not None:
                connection = self.context.wrap_socket(plain, server_side=True)
                self.open.append(connection)
            with connection:
                self.handler(connection)

    def close(self) -> None:
        # shutdown wakes the thread that waits in accept; close alone does not.
        for one in [self.listener, *self.open]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server for a handler; returns its port."""
    servers: list[Server] = []

    def start(handler: Handler, context: ssl.SSLContext | None = None) -> int:
        servers.append(Server(handler, context))
        return servers[-1].port

    yield start
    for one in servers:
        one.close()


@pytest.fixture
def resolver() -> Iterator[Resolver]:
    one = Resolver()
    yield one
    one.close()


@pytest.fixture
def loop(resolver: Resolver) -> Iterator[SelectorLoop]:
    one = SelectorLoop(resolver)
    one.start()
    yield one
    one.stop()


def task(kind: str, target: str, config: dict[str, Any], timeout: float) -> ProbeTask:
    return ProbeTask(
        task_id=1,
        tenant_id="t",
        kind=kind,
        interval=60,
        target=target,
        timeout=timeout,
        config=config,
    )


def run_once(loop: SelectorLoop, resolver: Resolver, driver: str, prepared: Any) -> Finding:
    if isinstance(prepared, Finding):
        return prepared
    kind, run = prepared
    if driver == "blocking" or kind.steps is None:
        return run_blocking(kind, run, resolver)
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    assert loop.submit(kind, run, answers.put)
    return answers.get(timeout=30)


@pytest.fixture(params=["blocking", "loop"])
def probe(request: pytest.FixtureRequest, loop: SelectorLoop, resolver: Resolver) -> Probe:
    """Run one probe to its end on the driver under test."""

    def run(kind: str, target: str, timeout: float = 5.0, **config: Any) -> Finding:
        prepared = prepare(task(kind, target, config, timeout))
        began = time.monotonic()
        finding = run_once(loop, resolver, request.param, prepared)
        assert time.monotonic() - began < timeout + 2.0, "the deadline was not kept"
        return finding

    return run


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority with one intermediate."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    """Have probes trust the test authority as they trust the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root_file))
    client_context.cache_clear()
    yield authority
    client_context.cache_clear()


def drain(connection: socket.socket) -> bytes:
    """Read a request's head."""
    content = b""
    while b"\r\n\r\n" not in content and (more := connection.recv(65_536)):
        content += more
    return content


def answering(*answers: bytes) -> Handler:
    """Answer every HTTP request with the same bytes, then close."""

    def handle(connection: socket.socket) -> None:
        drain(connection)
        for one in answers:
            connection.sendall(one)

    return handle


def hang(connection: socket.socket) -> None:
    """Accept, read, never answer."""
    while connection.recv(65_536):
        pass


def reset(connection: socket.socket) -> None:
    """Break the connection off as a crashed process does."""
    drain(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def drip(connection: socket.socket, beginning: bytes = b"HTTP/1.1 200 OK\r\n\r\n") -> None:
    """Send a beginning and then one byte after the other for ever."""
    connection.recv(65_536)
    connection.sendall(beginning)
    while not _pause.wait(0.02):
        connection.sendall(b"x")


_pause = threading.Event()


def flood(connection: socket.socket) -> None:
    """Announce and send a gigabyte."""
    drain(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    block = b"x" * 1_048_576
    for _ in range(1_024):
        connection.sendall(block)


def body(text: bytes, head: bytes = b"") -> bytes:
    """Return a whole answer."""
    length = b"Content-Length: %d\r\n" % len(text)
    return b"HTTP/1.1 200 OK\r\n" + length + head + b"\r\n" + text


def closed_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
