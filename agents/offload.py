"""Database work asked for by the event loop: a small executor of its own.

Never the default thread: there, one slow call stands before every other one (measured:
2 s of one caller froze the next for 1.9 s). Every call ends with its connections closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

from django.db import connections

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 4

_executor = ThreadPoolExecutor(THREADS, thread_name_prefix="agents-db")


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the function in the executor and return what it returns."""
    call = partial(_closing, partial(function, *args, **kwargs))
    return await asyncio.get_running_loop().run_in_executor(_executor, call)


def _closing(call: Callable[[], T]) -> T:
    """Call it and close this thread's connections, so that none outlives its request."""
    try:
        return call()
    finally:
        connections.close_all()
