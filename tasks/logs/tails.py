"""Ended tasks whose last log bytes are still on their way.

Kept in memory and bounded: whatever is dropped here, or lost by a restart, is settled by
the agent's next full list.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

MAX_AWAITED = 10_000


class Awaited(NamedTuple):
    """An ended task that lacks bytes: which offer, on which host, how many there are in all."""

    task_id: int
    offer: int
    agent_id: str
    log_bytes: int


_guard = threading.Lock()
_awaited: OrderedDict[int, Awaited] = OrderedDict()


def expect(awaited: Awaited) -> None:
    """Remember a task, dropping the oldest when there are too many."""
    with _guard:
        _awaited[awaited.task_id] = awaited
        if len(_awaited) > MAX_AWAITED:
            _awaited.popitem(last=False)


def completed(task_id: int, stored: int) -> Awaited | None:
    """Return the ended task whose log just became complete, once; else None."""
    with _guard:
        awaited = _awaited.get(task_id)
        if awaited is None or stored < awaited.log_bytes:
            return None
        return _awaited.pop(task_id)
