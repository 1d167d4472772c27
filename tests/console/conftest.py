"""A registry of live hints that no other test touches."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from dialer_platform.console import live


class Watcher:
    """Counts the hints of one topic and lets a test wait for them."""

    def __init__(self) -> None:
        """Start with none."""
        self.hints: list[tuple[str, int]] = []
        self._changed = threading.Condition()

    def __call__(self, topic: str, version: int) -> None:
        """Take a hint from any thread."""
        with self._changed:
            self.hints.append((topic, version))
            self._changed.notify_all()

    def wait_for(self, count: int, timeout_seconds: float = 5.0) -> bool:
        """Return whether so many hints came in time."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.hints) >= count, timeout_seconds)


@pytest.fixture
def watch() -> Iterator:
    """Return a function that watches a topic until the test ends."""
    ends = []

    def start(topic: str, *, tenant_id: str = "default") -> Watcher:
        watcher = Watcher()
        ends.append(live.subscribe(topic, watcher, tenant_id=tenant_id))
        return watcher

    yield start
    for end in ends:
        end()
