"""The newest progress bar of each running task, until it is written to the rows.

In memory and bounded: a bar is replaced by the next one, and when too many tasks have
news the oldest are dropped; they draw another soon.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

from agent_client.protocol import frames
from tasks.logs.progress import LOOK_BACK_BYTES, Bar, read_bar

MAX_PENDING = 10_000


class Drawn(NamedTuple):
    """A bar that has not been written yet."""

    tenant_id: str
    bar: Bar


_guard = threading.Lock()
_pending: OrderedDict[int, Drawn] = OrderedDict()


def note(task_id: int, data: bytes, *, tenant_id: str) -> None:
    """Look for a bar in the end of a chunk of frames."""
    if b"\r" not in data:
        return
    payloads = [frame.payload for frame in frames.decode(data)]
    tail = b""
    for payload in reversed(payloads):
        tail = payload[-LOOK_BACK_BYTES:] + tail
        if len(tail) >= LOOK_BACK_BYTES:
            break
    bar = read_bar(tail)
    if bar is None:
        return
    with _guard:
        _pending[task_id] = Drawn(tenant_id, bar)
        _pending.move_to_end(task_id)
        if len(_pending) > MAX_PENDING:
            _pending.popitem(last=False)


def take() -> dict[int, Drawn]:
    """Return what is new since the last call."""
    with _guard:
        taken = dict(_pending)
        _pending.clear()
        return taken
