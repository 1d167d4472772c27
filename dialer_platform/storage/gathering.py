"""A bounded queue and one thread that empties it, batch by batch: what group commit needs.

While one batch waits for the disk, everything that arrives gathers in the queue and goes
into the next; so the rate grows with the load and not with the number of syncs. Knows
nothing of what is queued. Whatever waits at the end is still handled.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class GatheringThread(Generic[T]):
    """Gathers items and hands them on in order; the thread starts with the first item."""

    def __init__(
        self,
        name: str,
        handle: Callable[[list[T], threading.Event], None],
        *,
        max_waiting: int,
        max_batch: int,
        weigh: Callable[[T], int] = lambda item: 1,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        """Handle gets a batch and what is set when the thread shall end.

        Both limits count weight; a batch exceeds its own by less than its last item.
        on_end is called in the thread, to close what it has opened.
        """
        self._name = name
        self._handle = handle
        self._max_waiting = max_waiting
        self._max_batch = max_batch
        self._weigh = weigh
        self._on_end = on_end
        self._items: deque[T] = deque()
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._busy_since: float | None = None
        self.waiting = 0
        """The weight of everything that waits for the next batch."""

    @property
    def busy_seconds(self) -> float:
        """Return for how long the present batch has been handled; for ever if nobody does."""
        thread, since = self._thread, self._busy_since
        if thread is not None and not thread.is_alive():
            return float("inf")
        return 0.0 if since is None else time.monotonic() - since

    def put(self, item: T) -> bool:
        """Queue an item; False when it does not fit any more."""
        weight = self._weigh(item)
        with self._changed:
            if self.waiting + weight > self._max_waiting:
                return False
            self._items.append(item)
            self.waiting += weight
            self._start_thread()
            self._changed.notify()
        return True

    def start(self) -> None:
        """Start the thread unless it runs."""
        with self._changed:
            self._start_thread()

    def stop(self, timeout_seconds: float) -> None:
        """Handle what waits, then end the thread; wait for it so long at most."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._stopping.set()
            self._changed.notify()
        if thread:
            thread.join(timeout_seconds)

    def _start_thread(self) -> None:
        """Start the thread unless it runs; the caller holds the condition."""
        if self._thread is not None:
            return
        # A new one for each thread: one that is still ending must not be called back.
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(self._stopping,), name=self._name, daemon=True
        )
        self._thread.start()

    def _work(self, stopping: threading.Event) -> None:
        """Handle batch after batch until told to stop and nothing waits."""
        try:
            while batch := self._next_batch(stopping):
                self._busy_since = time.monotonic()
                self._handle(batch, stopping)
                self._busy_since = None
        finally:
            self._on_end()

    def _next_batch(self, stopping: threading.Event) -> list[T]:
        """Wait for work and take a batch of it; empty means stop."""
        with self._changed:
            while not self._items and not stopping.is_set():
                self._changed.wait()
            batch: list[T] = []
            weight = 0
            while self._items and weight < self._max_batch:
                batch.append(self._items.popleft())
                weight += self._weigh(batch[-1])
            self.waiting -= weight
        return batch
