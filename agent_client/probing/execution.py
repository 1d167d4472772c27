"""One run under way, and the result it becomes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from agent_client.probes.kind import Finding, Kind, Run
from agent_client.probing.pool import Job
from agent_client.probing.ready_queue import Waiting
from agent_client.protocol.probes import (
    MAX_DETAILS_BYTES,
    MAX_ERROR_CHARACTERS,
    ProbeResult,
    ProbeTask,
)

Prepare = Callable[[ProbeTask], "tuple[Kind, Run] | Finding"]
_NAME_CHARACTERS = 64


class SocketDriver(Protocol):
    """Runs socket kinds, many at once."""

    def submit(self, kind: Kind, run: Run, on_done: Callable[[Finding], None]) -> bool:
        """Start a run; False when it cannot. on_done comes once, from another thread."""


@dataclass(slots=True, eq=False)
class Active:
    """One run under way; started is monotonic, started_at UTC."""

    waiting: Waiting
    task: ProbeTask
    late_seconds: float
    blocks: bool
    is_slow: bool
    is_saturated: bool
    started_at: float
    started: float
    job: Job | None = None
    is_told: bool = False
    """Its result is out; a hung thread may still come back."""


def begin(run: Waiting, *, late_seconds: float, blocks: bool, is_saturated: bool) -> Active:
    """Return a run that starts now."""
    return Active(
        waiting=run,
        task=run.probe.task,
        late_seconds=late_seconds,
        blocks=blocks,
        is_slow=run.probe.is_slow,
        is_saturated=is_saturated,
        started_at=time.time(),
        started=time.monotonic(),
    )


def prepared(prepare: Prepare, task: ProbeTask) -> tuple[Kind, Run] | Finding:
    """Return what to run; a kind that cannot even be prepared is the prober's own error."""
    try:
        return prepare(task)
    except Exception as error:  # noqa: BLE001 (a broken kind must not end the schedule of the others)
        return Finding("error", reason="crash", error=f"{type(error).__name__}: {error}")


def result_of(active: Active, finding: Finding, seconds: float) -> ProbeResult:
    """Return the result of an executed run; what is too long for the wire is cut."""
    details = finding.details
    if details and len(msgspec.json.encode(details)) > MAX_DETAILS_BYTES:
        details = {"truncated": True}
    return ProbeResult(
        task_id=active.task.task_id,
        tenant_id=active.task.tenant_id,
        seq=0,
        outcome=finding.outcome,
        reason=finding.reason[:_NAME_CHARACTERS],
        phase=finding.phase[:_NAME_CHARACTERS],
        started_at=active.started_at,
        duration_seconds=seconds,
        late_seconds=active.late_seconds,
        saturated=active.is_saturated,
        phases=finding.phases,
        error=finding.error[:MAX_ERROR_CHARACTERS],
        details=details,
        version=active.task.version,
        request_id=active.waiting.request_id,
    )


def refused(run: Waiting, reason: str) -> ProbeResult:
    """Return the answer to a run on request that was not executed."""
    return ProbeResult(
        task_id=run.probe.task.task_id,
        tenant_id=run.probe.task.tenant_id,
        seq=0,
        outcome="missed",
        reason=reason,
        started_at=time.time(),
        version=run.probe.task.version,
        request_id=run.request_id,
    )
