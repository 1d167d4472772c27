"""What a probe kind is: one function that tests a target, in one of two shapes.

A socket kind is a generator that yields what it waits for, so that the same code runs
blocking in a thread of the pool and, thousands at once, on one selector loop. Any other
kind is a plain function that may block. Neither knows anything of schedules, queues or
results: it gets a target, a checked configuration and a deadline, and returns a Finding.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, Literal

from agent_client.protocol.probes import Outcome

Address = tuple[int, int, int, str, tuple[Any, ...]]
"""An entry of socket.getaddrinfo(): family, type, protocol, canonical name, address."""


@dataclass(frozen=True, slots=True)
class WaitSocket:
    """Go on when the socket is ready; sent back: None. Raises TimeoutError at the deadline.

    until, on the run's clock, is an earlier moment for the TimeoutError: a kind that tries
    again or sends several packets waits for each of them that long.
    """

    sock: socket.socket
    event: Literal["read", "write"]
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Resolve:
    """Look the name up in the resolver pool; sent back: its permitted addresses.

    Raises socket.gaierror, TimeoutError at the deadline, TargetDenied when the agent's
    policy denies an address (link-local and metadata addresses by default).
    """

    host: str
    port: int
    family: int = 0
    type: int = socket.SOCK_STREAM


@dataclass(frozen=True, slots=True)
class Sleep:
    """Go on after some seconds; sent back: None. For kinds that send several packets."""

    seconds: float


class TargetDenied(Exception):
    """The agent's policy does not let a probe reach this host."""


Want = WaitSocket | Resolve | Sleep


@dataclass(frozen=True, slots=True)
class Finding:
    """What one run found out; durations in seconds, phases in the order they happened."""

    outcome: Outcome
    reason: str = ""
    phase: str = ""
    error: str = ""
    phases: dict[str, float] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


Steps = Generator[Want, Any, Finding]


@dataclass(frozen=True, slots=True)
class Run:
    """One execution: config is the kind's own checked struct, deadline on clock()'s scale.

    The deadline covers everything from the start to the last byte; nothing may be sent
    after it. clock is monotonic seconds.
    """

    target: str
    config: Any
    deadline: float
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Kind:
    """One entry of the registry: exactly one of steps and call is given.

    config_type is the msgspec struct of `agent_client.protocol.probe_kinds` that checks
    a probe's target and config on the server and here alike.
    """

    name: str
    config_type: type[Any]
    steps: Callable[[Run], Steps] | None = None
    call: Callable[[Run], Finding] | None = None
