"""Brings samples to the server in batches every few seconds, and again after an outage.

Runs on its own thread. A batch that the server does not take is halved until the one that
spoils it stands alone and is let go.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import msgspec

from agent_client.plugins.samples import Encoded, SampleBuffer
from agent_client.probing.channel import Channel, HttpAnswer
from agent_client.protocol.plugins import MAX_SAMPLES_PER_REQUEST
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import ConnectionFailed, Endpoint

logger = logging.getLogger(__name__)

PATH = "/api/v1/plugins/samples"
BATCH_SECONDS = 5.0
BUSY_SECONDS = 60.0
"""The pause after 429 without a Retry-After."""


class SamplesAnswer(msgspec.Struct, frozen=True):
    """The server's answer to a batch."""

    accepted: int = 0
    refused: tuple[msgspec.Raw, ...] = ()


class SampleUploader:
    """The thread that empties the buffer."""

    def __init__(
        self,
        buffer: SampleBuffer,
        *,
        backoff: Backoff,
        endpoint: Callable[[str], Endpoint],
        batch_seconds: float,
    ) -> None:
        """endpoint makes the credential's endpoint for an address of the back-off."""
        self._buffer = buffer
        self._backoff = backoff
        self._endpoint = endpoint
        self._batch_seconds = batch_seconds
        self._limit = MAX_SAMPLES_PER_REQUEST
        self._channel: Channel | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self.refused = 0
        """Samples that the server did not take."""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="plugin-upload", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float) -> None:
        """Send what waits, once, and end within the time."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        pause_seconds = self._batch_seconds
        while not self._closing.wait(pause_seconds):
            pause_seconds = self._send_all() or self._batch_seconds
        self._send_all()
        if self._channel is not None:
            self._channel.close()

    def _send_all(self) -> float:
        """Send everything that waits; return the pause that a failure asks for, else 0."""
        # Everything at once: after an outage the newest must not wait for many rounds.
        while batch := self._buffer.take(self._limit):
            pause_seconds = self._send(batch)
            if pause_seconds:
                return pause_seconds
        return 0.0

    def _send(self, batch: list[Encoded]) -> float:
        """Send one batch and return the pause before the next, 0 for none."""
        try:
            answer = self._post(b"[" + b",".join(one.data for one in batch) + b"]")
        except ConnectionFailed as error:
            logger.info("samples of plug-ins wait: %s", error.detail)
            # Nothing was said about them: they keep their place and go again.
            self._buffer.put_back(batch)
            return self._backoff.failed()
        return self._answered(batch, answer)

    def _post(self, body: bytes) -> HttpAnswer:
        address = self._backoff.address
        if self._channel is None or self._channel.endpoint.server != address:
            self._channel = Channel(self._endpoint(address))
        return self._channel.request("POST", PATH, body, {"Content-Type": "application/json"})

    def _answered(self, batch: list[Encoded], answer: HttpAnswer) -> float:
        """Act on the server's answer and return the pause before the next batch."""
        if answer.status == 200:
            self._count_refused(answer.body)
            self._backoff.succeeded()
            # Doubled step by step: the next bad one is near where the last one was.
            self._limit = min(MAX_SAMPLES_PER_REQUEST, self._limit * 2)
            return 0.0
        if answer.status in (400, 413, 422):
            self._too_hard(batch, answer.status)
            return 0.0
        self._buffer.put_back(batch)
        logger.info("the server answered %d to samples of plug-ins", answer.status)
        if answer.status in (401, 403):
            return self._backoff.refused()
        wish = answer.headers.get("retry-after", "")
        default = BUSY_SECONDS if answer.status == 429 else 0.0
        return self._backoff.failed(at_least_seconds=float(wish) if wish.isdigit() else default)

    def _too_hard(self, batch: list[Encoded], status: int) -> None:
        """Find the sample that spoils the batch by halving it; let that one go."""
        # Halving finds the one in ten steps, and all others arrive.
        if len(batch) > 1:
            self._limit = len(batch) // 2
            self._buffer.put_back(batch)
            return
        self.refused += 1
        self._buffer.drop(batch)
        logger.warning("the server does not take a sample of %s: %d", batch[0].plugin, status)

    def _count_refused(self, body: bytes) -> None:
        try:
            refused = msgspec.json.decode(body, type=SamplesAnswer).refused
        except msgspec.MsgspecError:
            return  # it has them: what else it says is of no use here
        if refused:
            self.refused += len(refused)
            logger.warning("the server refused %d samples: %s", len(refused), bytes(refused[0]))
