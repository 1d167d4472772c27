"""Brings stored results to the server: in order, in batches, until it has each of them.

A batch goes when 500 results wait or the first waits for 2 s. It is acknowledged after the
server's commit; what the server refuses is acknowledged too and logged, so that one bad
result never blocks the others. Runs on its own thread; the outbox is the only state.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from agent_client.outbox.outbox import Batch, Outbox
from agent_client.probing.channel import Channel, HttpAnswer
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed, Endpoint

logger = logging.getLogger(__name__)

PATH = "/api/v1/results"
BATCH_RESULTS = 500
BATCH_SECONDS = 2.0
BUSY_SECONDS = 60.0
"""The pause after 429 without a Retry-After."""


class Refused(msgspec.Struct, frozen=True):
    """One result that the server will never take."""

    seq: int
    code: str = ""
    detail: str = ""


class ResultsAnswer(msgspec.Struct, frozen=True):
    """The server's answer to a batch, sent after its commit."""

    acked: tuple[int, ...] = ()
    rejected: tuple[Refused, ...] = ()


class Uploader:
    """The thread that empties the outbox."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        backoff: Backoff,
        endpoint: Callable[[str], Endpoint],
        batch_seconds: float = BATCH_SECONDS,
    ) -> None:
        """endpoint makes the credential's endpoint for an address of the back-off."""
        self._outbox = outbox
        self._backoff = backoff
        self._endpoint = endpoint
        self._batch_seconds = batch_seconds
        self._limit = BATCH_RESULTS
        self._channel: Channel | None = None
        self._ready = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self.rejected = 0
        """Results that the server did not take."""

    @property
    def failures(self) -> int:
        """Return how many tries in a row failed."""
        return self._backoff.failures

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="probe-upload", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Note that the outbox has more; safe in any thread."""
        with self._ready:
            self._ready.notify()

    def close(self, timeout_seconds: float) -> None:
        """Send what waits, as far as the server takes it within the time, and end."""
        with self._ready:
            self._is_closing = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while self._wait_for_work():
            try:
                pause_seconds = self._send_next()
            except OSError as error:
                logger.warning("stored probe results cannot be read: %s", error)
                pause_seconds = BUSY_SECONDS
            if pause_seconds and not self._pause(pause_seconds):
                break
        if self._channel is not None:
            self._channel.close()

    def _wait_for_work(self) -> bool:
        """Wait until a batch is full or old enough; False when it is time to end."""
        with self._ready:
            self._ready.wait_for(lambda: self._outbox.waiting or self._is_closing)
            self._ready.wait_for(self._is_full, self._batch_seconds)
            return self._outbox.waiting > 0 or not self._is_closing

    def _is_full(self) -> bool:
        return self._is_closing or self._outbox.waiting >= BATCH_RESULTS

    def _pause(self, seconds: float) -> bool:
        """Wait before another try; False when the agent ends meanwhile."""
        with self._ready:
            return not self._ready.wait_for(lambda: self._is_closing, seconds)

    def _send_next(self) -> float:
        """Send one batch and return the pause before the next, 0 for none."""
        batch = self._outbox.peek(self._limit)
        if batch is None:
            return 0.0
        body = b"[" + b",".join(record.payload for record in batch.records) + b"]"
        try:
            answer = self._post(body)
        except ConnectionFailed as error:
            logger.info("probe results wait: %s", error.detail)
            return self._failed()
        return self._answered(batch, answer)

    def _post(self, body: bytes) -> HttpAnswer:
        address = self._backoff.address
        if self._channel is None or self._channel.endpoint.server != address:
            self._channel = Channel(self._endpoint(address))
        return self._channel.request("POST", PATH, body, {"Content-Type": "application/json"})

    def _failed(self, at_least_seconds: float = 0.0) -> float:
        return self._backoff.failed(at_least_seconds=at_least_seconds)

    def _answered(self, batch: Batch, answer: HttpAnswer) -> float:
        """Act on the server's answer and return the pause before the next batch."""
        if answer.status == 200:
            return self._stored(batch, answer.body)
        logger.info("the server answered %d to probe results", answer.status)
        if answer.status in (401, 403):
            return self._backoff.refused()
        if answer.status in (400, 413, 422):
            return self._too_hard(batch, answer)
        wish = answer.headers.get("retry-after", "")
        default = BUSY_SECONDS if answer.status == 429 else 0.0
        return self._failed(float(wish) if wish.isdigit() else default)

    def _stored(self, batch: Batch, body: bytes) -> float:
        """Acknowledge a batch when the server has all of it."""
        try:
            answer = msgspec.json.decode(body, type=ResultsAnswer)
        except msgspec.MsgspecError as error:
            logger.warning("the server's answer to probe results is unreadable: %s", error)
            return self._failed()
        known = {*answer.acked, *(one.seq for one in answer.rejected)}
        if not all(record.sequence in known for record in batch.records):
            return self._failed()
        for one in answer.rejected:
            self._refused(one.code, one.detail)
        self._outbox.acknowledge(batch)
        self._backoff.succeeded()
        self._limit = min(BATCH_RESULTS, self._limit * 2)
        return 0.0

    def _too_hard(self, batch: Batch, answer: HttpAnswer) -> float:
        """Find the result that spoils the batch by halving it; let that one go."""
        if len(batch.records) > 1:
            self._limit = len(batch.records) // 2
            return 0.0
        error = _error_of(answer.body)
        self._refused(str(error.get("code", answer.status)), str(error.get("detail", "")))
        self._outbox.acknowledge(batch)
        return 0.0

    def _refused(self, code: str, detail: str) -> None:
        self.rejected += 1
        logger.warning("the server does not take a probe result: %s %s", code, detail)


def _error_of(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {}
