"""Hosts that reach their server over lines of their own, each a proxy that can misbehave."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tests.e2e.stack import wait_for
from tests.faults.lab import LOAD_PER_CORE, Lab
from tests.faults.proxy import Proxy

OFFLINE_SECONDS = 10.0
"""A silent host is shown as such after max(10 s, 3 intervals)."""
EARLIEST_SECONDS = 3.0
"""Two missed beats of a host that runs tasks, and a bit."""
TOLERANCE_SECONDS = 5.0
TOUCH_SECONDS = 20


class Line:
    """One host behind its own proxy."""

    def __init__(self, lab: Lab, name: str, *, is_framed: bool = False, **options: str) -> None:
        """Start the proxy and, over it, the host."""
        self.name = name
        self.proxy = Proxy(lab.stack.port, seed=lab.chance.randrange(10**6), is_framed=is_framed)
        self.agent_id = lab.start_agent(name, server=self.proxy.url, **options)
        self._lab = lab

    def touched(self) -> int:
        """Return how much bad weather has touched so far."""
        return self.proxy.touched.total()

    def is_offline(self) -> bool:
        """Return whether the server shows that the host is silent."""
        return self._lab.stack.online_agent(self.name) is None


@contextmanager
def lines_of(lab: Lab, options: dict[str, dict[str, Any]]) -> Iterator[list[Line]]:
    """Yield a line for each host that is named, with its options."""
    found = [Line(lab, name, **one) for name, one in options.items()]
    try:
        yield found
    finally:
        for line in found:
            line.proxy.close()


def spell(lab: Lab, lines: Sequence[Line], *, longest: float, **weather: object) -> int:
    """Let the network misbehave for a while, then heal it; returns how many lines it was.

    It lasts until it has touched each of them.
    """
    before = [line.touched() for line in lines]
    for line in lines:
        line.proxy.set(**weather)
        if weather.get("refuse"):
            line.proxy.reset_all()
    lab.pause(longest)
    for line, count in zip(lines, before, strict=True):
        wait_for(lambda one=line, n=count: one.touched() > n, seconds=TOUCH_SECONDS)
        line.proxy.set()
    return len(lines)


def silence_bound() -> float:
    """Return within how many seconds a silent host must be shown as such on this machine now."""
    crowd = os.getloadavg()[0] / ((os.cpu_count() or 1) * LOAD_PER_CORE)
    return OFFLINE_SECONDS + TOLERANCE_SECONDS * max(1.0, crowd)


def wait_offline(line: Line, since: float) -> float:
    """Wait until a host that fell silent at `since` is shown so; returns after how long."""
    wait_for(line.is_offline, seconds=silence_bound() + since - time.monotonic(), each=0.2)
    seconds = time.monotonic() - since
    assert seconds >= EARLIEST_SECONDS, f"{line.name} was given up after {seconds:.1f} s"
    return seconds
