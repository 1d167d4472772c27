"""One answer for all who ask at the same time, and a bounded wait for it.

For questions that may hang, as anything does that is asked of a frozen database. Promises
that at most one thread asks at a time, however many wait, and that nobody waits longer than
`wait_seconds` after it began: while it hangs, who comes later is told so at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class SharedAnswer(Generic[T]):
    """Asks in a thread of its own, and hands what it says to everybody."""

    def __init__(
        self,
        ask: Callable[[], T],
        *,
        wait_seconds: float,
        believed_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; an answer is believed for so long after it was asked for."""
        self._ask = ask
        self._wait_seconds = wait_seconds
        self._believed_seconds = believed_seconds
        self._clock = clock
        self._guard = threading.Lock()
        self._asked_at = 0.0
        self._answer: Future[T] | None = None

    def get(self) -> T | None:
        """Return the answer, None while there is none in time; raises what `ask` raised."""
        with self._guard:
            answer = self._current()
            ends_at = self._asked_at + self._wait_seconds
        try:
            return answer.result(timeout=max(0.0, ends_at - self._clock()))
        except TimeoutError:
            return None

    def _current(self) -> Future[T]:
        """Return the answer that is awaited or still believed, or ask anew."""
        now = self._clock()
        answer = self._answer
        if answer is not None:
            is_believed = now - self._asked_at < self._believed_seconds
            if is_believed or not answer.done():
                return answer
        answer = self._answer = Future()
        self._asked_at = now
        # Not an executor's thread: the interpreter would wait for it before it ends.
        thread = threading.Thread(target=self._fill, args=(answer,), name="asking", daemon=True)
        thread.start()
        return answer

    def _fill(self, answer: Future[T]) -> None:
        """Ask, and keep what comes of it."""
        try:
            answer.set_result(self._ask())
        except Exception as error:  # noqa: BLE001 - it belongs to those who wait
            answer.set_exception(error)
