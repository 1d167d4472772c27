"""Probes, clocks and drivers that tests of the scheduler share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent_client.probes.kind import Finding, Kind, Run
from agent_client.protocol.probes import ProbeTask


def task(task_id: int = 1, **changes: Any) -> ProbeTask:
    values = {"tenant_id": "t", "kind": "socket", "interval": 60.0, "target": "x", "version": 1}
    return ProbeTask(task_id=task_id, **(values | changes))


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self, now: float = 1_760_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Sockets:
    """Holds runs until the test ends them."""

    def __init__(self) -> None:
        self.flights: list[tuple[Run, Callable[[Finding], None]]] = []
        self.is_full = False

    def submit(self, kind: Kind, run: Run, on_done: Callable[[Finding], None]) -> bool:
        if self.is_full:
            return False
        self.flights.append((run, on_done))
        return True

    def end(self, index: int = 0, outcome: str = "up", reason: str = "") -> None:
        _, on_done = self.flights.pop(index)
        on_done(Finding(outcome, reason=reason))

    def end_all(self) -> None:
        while self.flights:
            self.end()
