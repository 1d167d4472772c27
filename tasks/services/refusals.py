"""Hosts that refused a task are left alone for a while: per (task, agent), growing.

Kept in memory: a restart forgets it, which costs one more refusal. Bounded; the oldest
pair is dropped when full.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
MAX_PAIRS = 10_000


class Refusal(NamedTuple):
    """Who refused a task, and the host's own words."""

    agent_id: str
    detail: str


class Refusals:
    """Until when a task is not offered to an agent again."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with nobody having refused anything."""
        self._clock = clock
        self._guard = threading.Lock()
        self._pauses: OrderedDict[tuple[int, str], tuple[float, float]] = OrderedDict()
        self._words: OrderedDict[int, Refusal] = OrderedDict()

    def note(self, task_id: int, agent_id: str, detail: str = "") -> float:
        """Remember a refusal and its words; returns the seconds until the pair may meet again."""
        key = (task_id, agent_id)
        with self._guard:
            _until, last = self._pauses.pop(key, (0.0, 0.0))
            pause = min(max(last * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
            self._pauses[key] = (self._clock() + pause, pause)
            if len(self._pauses) > MAX_PAIRS:
                self._pauses.popitem(last=False)
            self._words[task_id] = Refusal(agent_id, detail)
            if len(self._words) > MAX_PAIRS:
                self._words.popitem(last=False)
        return pause

    def last(self, task_id: int) -> Refusal | None:
        """Return the last refusal of a task that still holds, None when there is none."""
        found = self._words.get(task_id)
        return found if found and self.forbids(task_id, found.agent_id) else None

    def forbids(self, task_id: int, agent_id: str) -> bool:
        """Return whether the pair has to wait still."""
        entry = self._pauses.get((task_id, agent_id))
        return entry is not None and entry[0] > self._clock()

    def clear(self) -> None:
        """Forget all refusals."""
        with self._guard:
            self._pauses.clear()
            self._words.clear()


refusals = Refusals()
