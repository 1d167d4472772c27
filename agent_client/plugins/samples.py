"""Samples on their way to the server: kept in memory within bounds, oldest dropped first.

What plug-ins measure is worth less the older it is, and never worth the host's disk: it is
lost with the agent, and every lost one is counted for its plug-in. Safe in any thread.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from typing import NamedTuple

import msgspec

from agent_client.protocol.plugins import (
    MAX_SAMPLES_PER_REQUEST,
    MAX_VALUES_PER_REQUEST,
    PluginSample,
)

MAX_WAITING = 10_000
MAX_WAITING_BYTES = 8 * 1024 * 1024
MAX_BATCH_BYTES = 1024 * 1024


class Encoded(NamedTuple):
    """One sample as it goes over the wire."""

    plugin: str
    data: bytes
    values: int
    """Numbers and lines in it."""


class SampleBuffer:
    """A queue with a number and a size that it never exceeds."""

    def __init__(
        self, *, max_waiting: int = MAX_WAITING, max_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        """Start empty."""
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._waiting: deque[Encoded] = deque()
        self._bytes = 0
        self._dropped: Counter[str] = Counter()

    def put(self, sample: PluginSample) -> None:
        """Add a sample; the oldest make room for it."""
        # Encoded once, here: its size is then known, and sending again costs nothing.
        values = len(sample.metrics) + len(sample.lines)
        encoded = Encoded(sample.plugin, msgspec.json.encode(sample), values)
        with self._lock:
            self._waiting.append(encoded)
            self._bytes += len(encoded.data)
            while len(self._waiting) > self._max_waiting or self._bytes > self._max_bytes:
                self._dropped[self._pop().plugin] += 1

    def take(self, limit: int = MAX_SAMPLES_PER_REQUEST) -> list[Encoded]:
        """Return the next batch, oldest first; whoever takes it sends it or puts it back."""
        batch: list[Encoded] = []
        size = values = 0
        with self._lock:
            while self._waiting and len(batch) < limit:
                size += len(self._waiting[0].data)
                values += self._waiting[0].values
                # At least one, however large: else nothing would ever move.
                if batch and (size > MAX_BATCH_BYTES or values > MAX_VALUES_PER_REQUEST):
                    break
                batch.append(self._pop())
        return batch

    def put_back(self, batch: list[Encoded]) -> None:
        """Take a batch back that was not sent, as far as there is room."""
        with self._lock:
            # From its newest on: when room is short, the oldest are those to lose.
            for encoded in reversed(batch):
                is_full = len(self._waiting) >= self._max_waiting
                if is_full or self._bytes + len(encoded.data) > self._max_bytes:
                    self._dropped[encoded.plugin] += 1
                    continue
                self._waiting.appendleft(encoded)
                self._bytes += len(encoded.data)

    def drop(self, batch: list[Encoded]) -> None:
        """Count a batch as lost that the server will never take."""
        with self._lock:
            self._dropped.update(one.plugin for one in batch)

    def dropped(self, plugin: str) -> int:
        """Return how many samples of a plug-in were lost since the agent's start."""
        # Read without the lock: a number that is one behind harms nobody.
        return self._dropped[plugin]

    def __len__(self) -> int:
        """Return how many samples wait."""
        return len(self._waiting)

    def _pop(self) -> Encoded:
        encoded = self._waiting.popleft()
        self._bytes -= len(encoded.data)
        return encoded
