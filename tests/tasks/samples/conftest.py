"""What a host says of its tasks, as the flusher hands it on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from agent_client.protocol.messages import SubAgent
from agents.hot import HotAgent
from tasks.samples import curves

START = 1_790_000_000


class Clock:
    """Both clocks of the server, moved by the test."""

    def __init__(self) -> None:
        self.now = float(START)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    """Stop the clocks of the curves."""
    stopped = Clock()
    monkeypatch.setattr(curves.time, "time", stopped)
    monkeypatch.setattr(curves.time, "monotonic", stopped)
    return stopped


@pytest.fixture(autouse=True)
def _no_curves() -> Iterator[None]:
    """Begin and end without curves."""
    curves.clear()
    yield
    curves.clear()


@pytest.fixture
def say() -> Callable[..., None]:
    """Return a function that lets a host say what one of its tasks uses."""

    def take(agent_id: str, task_id: int, offer: int = 1, **figures: object) -> None:
        seen = SubAgent(task_id=task_id, offer=offer, **figures)
        now = time.monotonic()
        curves.take([HotAgent(agent_id, "default", now, now, sub_agents=(seen,))])

    return take
