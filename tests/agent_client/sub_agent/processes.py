"""Looking at real processes from outside: who still lives, and waiting for an event."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent_client.sub_agent import tree
from agent_client.sub_agent.identity import read_stat


def living_with(text: str) -> list[int]:
    """Return the processes that hold `text` in their command line or environment."""
    found = []
    for pid in tree.all_pids():
        stat = read_stat(pid)
        if stat is None or stat.state in "ZX":
            continue
        try:
            with (
                open(f"/proc/{pid}/cmdline", "rb") as line,
                open(f"/proc/{pid}/environ", "rb") as env,
            ):
                content = line.read() + env.read()
        except OSError:
            continue
        if text.encode() in content:
            found.append(pid)
    return found


def until(condition: Callable[[], object], *, seconds: float = 10.0) -> None:
    """Wait for a condition of another process; fails after a limit."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "condition was not met in time"
        time.sleep(0.005)
