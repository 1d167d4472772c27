"""What every transport does, and how one says that it failed.

A transport carries messages over one connection to one address. It knows neither what a
message means nor when to try again: `link` decides that from the error.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent_client.errors import Retryable, Terminal
from agent_client.protocol.messages import (
    Heartbeat,
    Hello,
    LogChunk,
    QueuedMessage,
    ServerMessage,
)
from agent_client.transport.backoff import SLOW_LANE_SECONDS
from agent_client.transport.trust import Trust, WrongCertificate

CONNECT_TIMEOUT_SECONDS = 10.0
ANSWER_TIMEOUT_SECONDS = 10.0
REDIRECTS = range(300, 400)
BUSY = frozenset({429, 503})
"""Statuses by which a server, or a proxy before it, asks to come again."""


class ConnectionFailed(Retryable):
    """The connection could not be made or broke; another try may work."""


class HandshakeBlocked(ConnectionFailed):
    """Something answered but will not talk WebSocket: a proxy, or a server that says no."""


class CredentialRefused(Terminal):
    """The server does not accept this host's credential; a person has to act."""

    default_code = "credential_refused"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect, and as whom."""

    server: str
    """Base address, http or https, without a trailing slash."""
    agent_id: str
    agent_token: str
    trust: Trust = field(default_factory=Trust)

    def tls_context(self) -> ssl.SSLContext | None:
        """Return how to speak TLS with the server, None for http; raises ConnectionFailed."""
        try:
            return self.trust.context_for(self.server)
        except WrongCertificate as error:
            # A person has to act, and yet the agent goes on: its tasks need it, and the
            # right server may come back. Nothing has been sent to this one.
            raise ConnectionFailed(
                error.detail, code=error.code, retry_after_seconds=SLOW_LANE_SECONDS
            ) from error
        except OSError as error:
            raise ConnectionFailed(f"{self.server}: {error.strerror or error}") from error

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of an authenticated HTTP request."""
        return {"Authorization": f"Bearer {self.agent_token}"}


class Transport(Protocol):
    """One connection; made, used and closed on the loop's thread."""

    name: str

    async def connect(self, hello: Hello) -> None:
        """Open the connection and introduce this host.

        Raises ConnectionFailed, HandshakeBlocked or CredentialRefused.
        """

    async def send(self, messages: Sequence[QueuedMessage | Heartbeat]) -> None:
        """Hand messages over in order; raises ConnectionFailed. Waits when the way is full."""

    async def send_chunk(self, chunk: LogChunk) -> None:
        """Hand one log chunk over; raises ConnectionFailed. Waits when the way is full."""

    def received(self) -> AsyncIterator[ServerMessage]:
        """Yield what the server says, a Welcome first; raises like connect when it ends."""

    async def close(self) -> None:
        """Close the connection; calling it twice is harmless."""


def retry_after(text: str) -> float | None:
    """Return a Retry-After header's seconds; dates are not used by this server."""
    return float(text) if text.isascii() and text.isdigit() else None


def refused_redirect(server: str, status: int, location: str) -> str:
    """Return why a redirect is not followed: the credential is for the named server only."""
    target = f" to {location[:200]}" if location else ""
    return (
        f"{server} answers with a redirect{target} (HTTP {status}), which is not followed;"
        " name the right address of the server"
    )
