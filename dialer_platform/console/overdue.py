"""An answer that may hang, asked for in a thread: who wants it waits no longer than he likes.

Promises that one question at most is under way, however many ask meanwhile: they share its
answer, and a hung one costs one thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class Overdue(Exception):
    """There is no answer yet."""


class SharedQuestion(Generic[T]):
    """One function that is never called twice at a time."""

    def __init__(self, ask: Callable[[], T], *, name: str) -> None:
        """Ask nothing yet; the name is the thread's."""
        self._ask = ask
        self._name = name
        self._guard = threading.Lock()
        self._pending: Future[T] | None = None

    def answer(self, seconds: float) -> T:
        """Return the answer to the question under way, or to a new one; raises Overdue."""
        with self._guard:
            if self._pending is None or self._pending.done():
                self._pending = Future()
                # A daemon: it must not keep a process from its end.
                threading.Thread(
                    target=self._fulfil, args=(self._pending,), name=self._name, daemon=True
                ).start()
            pending = self._pending
        try:
            return pending.result(seconds)
        except TimeoutError as error:
            raise Overdue(self._name) from error

    def _fulfil(self, pending: Future[T]) -> None:
        try:
            pending.set_result(self._ask())
        except Exception as error:  # noqa: BLE001 - handed to whoever waits
            pending.set_exception(error)
