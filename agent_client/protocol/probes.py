"""Dial testing on the wire: the probes an agent is to run, and what their runs came to.

`GET /api/v1/tasks/agent` answers a `ProbeSet`; `POST /api/v1/results` takes one
`ProbeResult` or a list of them. Durations are seconds, moments UTC seconds since the
epoch. Pure data: nothing here knows how a probe is run or where a result is kept.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from agent_client.protocol.messages import Number, Part

MAX_RESULTS_PER_REQUEST = 1_000
"""More results in one request are refused; the agent's own batches are of 500 or 2 s."""
MAX_ERROR_CHARACTERS = 1_000
MAX_DETAILS_BYTES = 4_096

Outcome = Literal["up", "degraded", "down", "error", "missed"]
"""`error` is the prober's own fault, `missed` a due run that was not executed: neither says
anything about the target, so neither counts as its downtime."""
Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
ShortText = Annotated[str, msgspec.Meta(max_length=64)]


class ProbeTask(Part, frozen=True):
    """One probe as an agent runs it; interval and timeout in seconds, timeout 0 = default.

    config belongs to the kind: the prober of that kind checks it and reports what is wrong
    with it as an `error` result of reason `config_invalid`.
    """

    task_id: Number
    tenant_id: str
    kind: str
    interval: float
    target: str
    timeout: float = 0.0
    config: dict[str, Any] = {}
    version: Number = 0
    """Grows with every change of the probe; its results carry it."""


class ProbeRun(Part, frozen=True):
    """Run this probe once, now, out of phase; the result carries request_id and is not counted."""

    request_id: ShortText
    task: ProbeTask


class ProbeSet(Part, frozen=True, omit_defaults=False):
    """Everything one agent is to probe. The same revision always means the same content."""

    revision: Number
    tasks: tuple[ProbeTask, ...] = ()
    runs: tuple[ProbeRun, ...] = ()


class ProbeResult(Part, frozen=True):
    """What one due run came to, or a span of missed ones.

    (agent, stream, seq) names it for ever: stream is the random name of the agent's outbox,
    seq counts from 1 inside it. reason and phase explain anything but `up`. For `missed`,
    count says how many due runs and ended_at when the last of them was due.
    late_seconds is due to start; queue time is never part of duration_seconds.
    """

    task_id: Number
    tenant_id: str
    seq: Number
    stream: ShortText = ""
    outcome: Outcome | None = None
    success: bool | None = None
    """What simple reporters send instead of outcome: true is `up`, false is `down`."""
    reason: ShortText = ""
    phase: ShortText = ""
    started_at: float = 0.0
    ended_at: float | None = None
    duration_seconds: Seconds = 0.0
    late_seconds: Seconds = 0.0
    saturated: bool = False
    """The agent's pool was full meanwhile: the durations may be too long."""
    phases: dict[str, float] = {}
    error: str = ""
    details: dict[str, Any] = {}
    """What the kind found out: address, status, certificate, answers; at most 4 KiB as JSON."""
    version: Number = 0
    request_id: ShortText = ""
    count: Number = 1
