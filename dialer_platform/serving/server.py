# mypy: disable-error-code="misc"
"""Runs the application in this process until it is told to stop.

Owns the listening socket, the loop and the order of the end: sockets are closed, then the
background services stop. Never writes to stdout.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import daphne.http_protocol
import daphne.server
import daphne.ws_protocol
from twisted.internet import defer, reactor
from twisted.internet.endpoints import SSL4ServerEndpoint

from dialer_platform import runtime
from dialer_platform.launch.certificate import ServerCertificate
from dialer_platform.serving.protocol import LimitedHTTPFactory, TimedChannel
from dialer_platform.serving.room import Room
from dialer_platform.serving.sockets import LimitedSocketFactory
from dialer_platform.serving.tls import options_of

BACKLOG_CONNECTIONS = 4096
PING_INTERVAL_SECONDS = 20
PING_TIMEOUT_SECONDS = 60
SOCKET_MESSAGE_BYTES = 1024 * 1024

logger = logging.getLogger(__name__)


class WebServer:
    """A web server on one address; `run()` blocks, `stop()` may be called from any thread."""

    def __init__(
        self,
        application: Any,
        *,
        host: str,
        port: int,
        trusted_proxies: frozenset[str] = frozenset(),
        certificate: ServerCertificate | None = None,
        on_ready: Callable[[str, int], None] = lambda host, port: None,
    ) -> None:
        """Prepare to listen; port 0 takes a free one, which `on_ready` is told.

        Of `trusted_proxies` any number of connections may wait for a request. With a
        certificate the server speaks https and wss, and nothing else.
        """
        self._on_ready = on_ready
        address = host.strip("[]").replace(":", r"\:")
        self._server = _Server(
            application=application,
            endpoints=[f"tcp:port={port}:interface={address}:backlog={BACKLOG_CONNECTIONS}"],
            signal_handlers=False,
            websocket_timeout=-1,
            ping_interval=PING_INTERVAL_SECONDS,
            ping_timeout=PING_TIMEOUT_SECONDS,
            websocket_max_message_size=SOCKET_MESSAGE_BYTES,
            websocket_max_frame_size=SOCKET_MESSAGE_BYTES,
            server_name="dialer",
            ready_callable=self._ready,
        )
        self._server.trusted_proxies = trusted_proxies
        if certificate is not None:
            self._server.encrypted = SSL4ServerEndpoint(  # type: ignore[no-untyped-call]
                reactor,
                port,
                options_of(certificate),
                backlog=BACKLOG_CONNECTIONS,
                interface=host.strip("[]"),
            )

    def run(self) -> bool:
        """Serve until stopped; False when the address could not be listened on."""
        raise_descriptor_limit()
        try:
            self._server.run()
        finally:
            runtime.stop()
        return not self._server.could_not_listen

    def stop(self) -> None:
        """End `run()`; safe from any thread and more than once."""
        reactor.callFromThread(self._server.stop)

    def _ready(self) -> None:
        """Start the services on the loop's own thread, then tell the address.

        The reactor calls back before its loop runs; a delayed call comes once it does.
        """
        reactor.callWhenRunning(reactor.callLater, 0, self._started)

    def _started(self) -> None:
        """Run once the loop does."""
        runtime.ensure_started()
        host, port = self._server.listening_addresses[0]
        self._on_ready(host, port)


@contextmanager
def replaced(module: Any, **names: Any) -> Iterator[None]:
    """Give a module of the library other parts for a time."""
    originals = {name: getattr(module, name) for name in names}
    vars(module).update(names)
    try:
        yield
    finally:
        vars(module).update(originals)


class _Steady:
    """Stands in for the library's `time`, of which it uses one function."""

    time = staticmethod(time.monotonic)


@contextmanager
def steady_clock() -> Iterator[None]:
    """Have the library measure pings and ends on the monotonic clock.

    It measures by the wall clock: set back an hour, it pings no quiet socket for an hour.
    """
    with (
        replaced(daphne.server, time=_Steady),
        replaced(daphne.http_protocol, time=_Steady),
        replaced(daphne.ws_protocol, time=_Steady),
    ):
        yield


class _Server(daphne.server.Server):
    """The library's server with our limits and a shutdown that tolerates finished calls."""

    could_not_listen = False
    trusted_proxies: frozenset[str] = frozenset()
    encrypted: SSL4ServerEndpoint | None = None
    """Where to listen instead, when there is a certificate."""

    def run(self) -> None:
        """Listen and serve with the limited factories."""
        ours: dict[str, Any] = {
            "HTTPFactory": LimitedHTTPFactory,
            "WebSocketFactory": LimitedSocketFactory,
        }
        if self.encrypted is not None:
            # The library's own description of such an endpoint takes file names only, and
            # would read a chain of certificates as one.
            ours["serverFromString"] = lambda reactor, description: self.encrypted
        with replaced(daphne.server, **ours), steady_clock():
            super().run()

    async def handle_reply(self, protocol: Any, message: Any) -> None:
        """Send a part of an answer or a message; return once the connection takes the next.

        The library returns at once: whoever reads a large file slowly had all of it kept in
        memory (600 MB of 600, measured).
        """
        await super().handle_reply(protocol, message)
        channel = getattr(protocol, "channel", None)
        sender = channel if isinstance(channel, TimedChannel) else protocol
        room: Room | None = getattr(sender, "room", None)
        if room is not None:
            await room.wait()

    def listen_error(self, failure: Any) -> None:
        """Remember why there is nothing to serve."""
        self.could_not_listen = True
        super().listen_error(failure)

    def timeout_checker(self) -> None:
        """Also cut requests that drip."""
        cut = self.http_factory.cut_slow_requests()
        if cut:
            logger.warning("slow requests cut", extra={"data": {"count": cut}})
        super().timeout_checker()

    def kill_all_applications(self) -> Any:
        """Cancel what still runs; the library's own version fails on finished ones."""
        running = [
            details["application_instance"]
            for details in self.connections.values()
            if "application_instance" in details and not details["application_instance"].done()
        ]
        for instance in running:
            instance.cancel()
        ended = defer.Deferred.fromFuture(asyncio.gather(*running, return_exceptions=True))
        ended.addErrback(lambda failure: None)
        return ended


def raise_descriptor_limit() -> None:
    """Allow as many open sockets as the system lets this process have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
