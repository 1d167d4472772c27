# mypy: disable-error-code="misc,no-untyped-call,override"
"""HTTP as this server speaks it: bodies capped and timed while they arrive.

Promises that a body over its limit is answered 413 with the API's error object and never
kept in memory, and that a header or body that drips is cut. Adds nothing to what the
application sees.
"""

from __future__ import annotations

import json
import time
from typing import Any

from daphne.http_protocol import HTTPFactory, WebRequest
from twisted.web.http import HTTPChannel

from dialer_platform.serving import limits
from dialer_platform.serving.room import Room
from dialer_platform.serving.waiting import WaitingConnections

KEEP_ALIVE_SECONDS = 60


def refusal(status: bytes, code: str, detail: str) -> bytes:
    """Return a whole answer that also closes the connection."""
    body = json.dumps({"code": code, "detail": detail, "fields": {}}).encode()
    return (
        b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\nConnection: close\r\n"
        b"X-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\nContent-Length: "
        + str(len(body)).encode()
        + b"\r\n\r\n"
        + body
    )


class LimitedRequest(WebRequest):
    """A request whose body is counted while it arrives."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with nothing received."""
        self.body_limit = limits.DEFAULT_BODY_BYTES
        self.body_bytes = 0
        self.is_refused = False
        super().__init__(*args, **kwargs)
        # The application parses forms; the library would do it too, and answer malformed
        # ones itself with an empty 400.
        self._parsePOSTFormSubmission = False

    def gotLength(self, length: int | None) -> None:
        """Refuse a body whose announced length is too large; None is a chunked body."""
        self.body_limit = limits.body_limit(self.channel._path)
        self.channel.give_time(limits.body_seconds(length, self.body_limit))
        is_too_large = length is not None and length > self.body_limit
        super().gotLength(0 if is_too_large else length)
        if is_too_large:
            self.refuse()

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a part of the body, or only count it once the request is refused."""
        self.body_bytes += len(data)
        if self.body_bytes > limits.DRAIN_BYTES:
            self.channel.transport.abortConnection()
        elif self.is_refused:
            return
        elif self.body_bytes > self.body_limit:
            self.refuse()
        else:
            super().handleContentChunk(data)

    def refuse(self) -> None:
        """Answer 413 now and forget what has arrived; the rest is read and dropped."""
        self.is_refused = True
        self.requestHeaders.removeHeader(b"Expect")
        self.content.seek(0)
        self.content.truncate()
        detail = f"The request body may have at most {self.body_limit} bytes."
        self.channel.transport.write(refusal(b"413 Content Too Large", "too_large", detail))

    def process(self) -> Any:
        """Hand a complete request to the application, or end a refused one."""
        if self.is_refused:
            self.channel.transport.loseConnection()
            return None
        return super().process()

    def basic_error(self, status: int, status_text: bytes, body: str) -> None:
        """Answer the server's own errors with the API's error object, without internals."""
        code = {400: "invalid", 503: "unavailable"}.get(status, "internal")
        payload = json.dumps({"code": code, "detail": status_text.decode(), "fields": {}}).encode()
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(payload)).encode()),
            (b"Cache-Control", b"no-store"),
        ]
        if not self._response_started:
            self.handle_reply({"type": "http.response.start", "status": status, "headers": headers})
        self.handle_reply({"type": "http.response.body", "body": payload})


class TimedChannel(HTTPChannel):
    """One connection; knows until when the request it is receiving must be complete."""

    def __init__(self) -> None:
        """Start idle."""
        super().__init__()
        self.deadline: float | None = None
        self.address = ""
        self.room: Room | None = None

    def connectionMade(self) -> None:
        """Join those that wait for a request."""
        super().connectionMade()
        if self.transport is not None:
            self.room = Room(self.transport)
            self.address = str(getattr(self.transport.getPeer(), "host", ""))
        self.factory.let_wait(self)

    def requestDone(self, request: Any) -> None:
        """Wait for the next request once this one is answered."""
        super().requestDone(request)
        if self.transport is not None:
            self.factory.let_wait(self)

    def dataReceived(self, data: bytes) -> None:
        """Start the clock with the first byte of a request."""
        if self.deadline is None and not self._handlingRequest:
            self.give_time(limits.HEADER_SECONDS)
        super().dataReceived(data)

    def give_time(self, seconds: float) -> None:
        """Allow that many seconds from now for the rest of the request."""
        self.deadline = time.monotonic() + seconds
        self.factory.receiving.add(self)

    def allContentReceived(self) -> None:
        """Stop the clock: from here on the application takes the time it needs."""
        self.stop_clock()
        self.factory.waiting.discard(self.address, self)
        super().allContentReceived()

    def connectionLost(self, reason: Any) -> None:
        """Forget a connection that ended."""
        self.stop_clock()
        self.factory.waiting.discard(self.address, self)
        super().connectionLost(reason)
        if self.room is not None:
            self.room.stopProducing()

    def pauseProducing(self) -> None:
        """Have who sends wait; the library stops reading, too."""
        super().pauseProducing()
        if self.room is not None:
            self.room.pauseProducing()

    def resumeProducing(self) -> None:
        """Let go on who waits to send more: what was sent has mostly left."""
        super().resumeProducing()
        if self.room is not None:
            self.room.resumeProducing()

    def stop_clock(self) -> None:
        """Nothing is being received."""
        self.deadline = None
        self.factory.receiving.discard(self)


class LimitedHTTPFactory(HTTPFactory):
    """Makes limited requests on timed connections."""

    protocol = TimedChannel

    def __init__(self, server: Any) -> None:
        """Start without connections."""
        super().__init__(server)
        self.timeOut = KEEP_ALIVE_SECONDS
        self.receiving: set[TimedChannel] = set()
        exempt: frozenset[str] = getattr(server, "trusted_proxies", frozenset())
        self.waiting: WaitingConnections[TimedChannel] = WaitingConnections(
            limit=limits.MAX_WAITING_PER_ADDRESS, exempt=exempt
        )

    def buildProtocol(self, addr: Any) -> Any:
        """Return the protocol of a new connection."""
        protocol = super().buildProtocol(addr)
        protocol.requestFactory = LimitedRequest
        return protocol

    def let_wait(self, channel: TimedChannel) -> None:
        """Let a connection wait, at the cost of the one that waited longest when too many do."""
        oldest = self.waiting.add(channel.address, channel)
        if oldest is not None and oldest.transport is not None:
            oldest.transport.abortConnection()

    def cut_slow_requests(self) -> int:
        """End connections whose request is not complete in time; returns how many."""
        now = time.monotonic()
        late = [c for c in self.receiving if c.deadline is not None and c.deadline < now]
        for channel in late:
            channel.stop_clock()
            if channel.transport is not None:
                channel.transport.abortConnection()
        return len(late)
