"""Messages of a host, with everything that a test does not care about filled in."""

from __future__ import annotations

import itertools
from typing import Any

from agent_client.protocol.messages import (
    Accepted,
    Capacity,
    Heartbeat,
    Hello,
    Resources,
    Result,
    Started,
    TaskSpec,
)

_numbers = itertools.count(1)


def name() -> str:
    """Return a fresh message id."""
    return f"m{next(_numbers)}"


def hello(agent_id: str, **fields: Any) -> Hello:
    """Return a hello of a host with 4 cores."""
    defaults: dict[str, Any] = {
        "message_id": name(),
        "instance_id": "i-1",
        "boot_id": "b-1",
        "version": "1.0",
        "capacity": Capacity(cpu_cores=4, memory_bytes=8 << 30, slots=8),
    }
    return Hello(agent_id=agent_id, **{**defaults, **fields})


def beat(agent_id: str, **fields: Any) -> Heartbeat:
    """Return a heartbeat."""
    defaults: dict[str, Any] = {"message_id": name(), "resources": Resources(cpu_usage=12.5)}
    return Heartbeat(agent_id=agent_id, **{**defaults, **fields})


def accepted(task_id: int = 1, offer: int = 1) -> Accepted:
    """Return the acceptance of an offer."""
    return Accepted(message_id=name(), task_id=task_id, offer=offer)


def started(task_id: int = 1, offer: int = 1) -> Started:
    """Return the start of a task."""
    return Started(message_id=name(), task_id=task_id, offer=offer, pid=7, started_at=1.0)


def result(task_id: int = 1, offer: int = 1) -> Result:
    """Return the end of a task."""
    return Result(message_id=name(), task_id=task_id, offer=offer, reason="exit", finished_at=2.0)


def spec(task_id: int = 1, offer: int = 1, **fields: Any) -> TaskSpec:
    """Return the order to run a script."""
    defaults = {"installation": "i", "name": "n", "script_type": "shell", "script_content": "true"}
    return TaskSpec(task_id=task_id, offer=offer, **{**defaults, **fields})
