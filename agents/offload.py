"""Database work asked for by the event loop: a small executor of its own.

Never the default thread: there, one slow call stands before every other one (measured:
2 s of one caller froze the next for 1.9 s). Connections are kept while calls wait, since
opening one costs more than a look-up, and closed with the last of them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4

_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="agents-db")
_guard = threading.Lock()
_waiting = 0


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the function in the executor and return what it returns."""
    _count(1)
    call = partial(_closing, partial(function, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_executor, call)


def _closing(call: Callable[[], T]) -> T:
    """Call it; close this thread's connections unless more than its peers could do waits."""
    is_broken = True
    try:
        result = call()
        is_broken = False
        return result
    finally:
        if _count(-1) < THREADS or is_broken:
            connections.close_all()


def _count(change: int) -> int:
    """Return how many calls run or wait after the change."""
    global _waiting
    with _guard:
        _waiting += change
        return _waiting
