"""Collects dead processes that came to the main agent and that nobody waits for.

When a sub-agent is killed, its script's processes become children of the main agent, the
next subreaper. Those that the loss of their task ends are collected there; one that ends
by itself in between would stay a zombie as long as the agent lives, and zombies take pids.
"""

from __future__ import annotations

import contextlib
import os

from agent_client.sub_agent import tree
from agent_client.sub_agent.identity import read_stat

GRACE_SECONDS = 10.0
"""Whoever started a process itself collects it at once; what is dead for so long is a stray."""


class Strays:
    """The dead children that were seen, and since when (monotonic seconds)."""

    def __init__(self, *, grace_seconds: float = GRACE_SECONDS) -> None:
        """Nothing has been seen yet."""
        self._grace_seconds = grace_seconds
        self._seen: dict[int, float] = {}

    def collect(self, *, now: float) -> list[int]:
        """Collect what has been dead for long enough, each by its pid; returns the pids."""
        # One cheap call in the usual case: there is nothing dead.
        dead = _dead_children() if tree.dead_child() else []
        self._seen = {pid: self._seen.get(pid, now) for pid in dead}
        collected = [pid for pid, since in self._seen.items() if now - since >= self._grace_seconds]
        for pid in collected:
            del self._seen[pid]
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        return collected


def _dead_children() -> list[int]:
    """Return the children of this process that wait to be collected."""
    stats = ((pid, read_stat(pid)) for pid in tree.all_pids())
    own = os.getpid()
    return [pid for pid, stat in stats if stat and stat.parent == own and stat.state == "Z"]
