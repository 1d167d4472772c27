"""The state of the agent at one moment, as data: what `status`, JSON and metrics show.

Pure but for the parts it reads, each by one attribute. One line per loop says in words
what it is doing, so that a person sees in five seconds which one stands still.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from agent_client import __version__

if TYPE_CHECKING:
    from agent_client.app import App

READY_SILENCE_SECONDS = 10.0
READY_SILENT_BEATS = 3
MAX_LAG_SECONDS = 1.0


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Everything there is to say; times in seconds, sizes in bytes."""

    version: str
    name: str
    agent_id: str
    server: str
    transport: str
    uptime_seconds: float
    is_ready: bool
    problems: tuple[str, ...]
    """Sentences; empty when the agent is well."""
    loops: dict[str, str]
    tasks: dict[str, int]
    slots: int
    slots_booked: int
    adaptive_factor: float
    bandwidth_limit_mb: float | None
    messages_waiting: int
    messages_unconfirmed: int
    messages_repeated: int
    log_bytes_shipped: int
    silence_seconds: float
    loop_lag_p50_seconds: float
    loop_lag_p99_seconds: float
    disk_usage_percent: float
    memory_bytes: int
    cpu_percent: float
    thread_pool: dict[str, Any]
    probes: dict[str, Any]


def health_of(app: App, *, now: float | None = None) -> Health:
    """Return the state of a running agent; now is monotonic seconds."""
    moment = time.monotonic() if now is None else now
    resources = app.sampler.latest.resources
    limits = app.throttle.limits
    pool = app.dialing.probe_pool()
    silence = max(0.0, moment - app.heart.heard_at)
    states = Counter(str(task.state) for task in app.supervisor.tasks().values())
    problems = tuple(_problems(app, silence))
    return Health(
        version=__version__,
        name=app.config.identification.agent_name,
        agent_id=app.identity.agent_id,
        server=app.identity.server or app.config.connection.agent_server_url,
        transport=app.link.transport_name,
        uptime_seconds=round(moment - app.started_at, 3),
        is_ready=not problems,
        problems=problems,
        loops=_loops(app, states, silence),
        tasks=dict(states),
        slots=limits.slots,
        slots_booked=app.ledger.slots_booked,
        adaptive_factor=limits.factor,
        bandwidth_limit_mb=limits.bandwidth_mb,
        messages_waiting=app.session.waiting,
        messages_unconfirmed=app.session.unconfirmed,
        messages_repeated=app.session.repeated,
        log_bytes_shipped=app.logs.shipped_bytes,
        silence_seconds=round(silence, 3),
        loop_lag_p50_seconds=round(app.lag.percentile(0.5), 6),
        loop_lag_p99_seconds=round(app.lag.percentile(0.99), 6),
        disk_usage_percent=resources.disk_usage if resources else 0.0,
        memory_bytes=resources.agent_memory_bytes if resources else 0,
        cpu_percent=resources.agent_cpu_usage if resources else 0.0,
        thread_pool=msgspec.to_builtins(app.dialing.thread_pool()),
        probes=msgspec.to_builtins(pool) if pool else {},
    )


def _problems(app: App, silence: float) -> list[str]:
    """Return what keeps the agent from being well."""
    found: list[str] = []
    patience = max(READY_SILENCE_SECONDS, READY_SILENT_BEATS * app.heart.interval_seconds)
    if not app.link.is_ready:
        found.append("No connection to the server; it is being looked for.")
    elif silence > patience:
        found.append(f"The server has not answered a beat for {silence:.0f} s.")
    if app.lag.percentile(0.99) > MAX_LAG_SECONDS:
        found.append(
            f"The loop runs {app.lag.percentile(0.99):.1f} s late: the host is overloaded."
        )
    stuck = sum(task.unkillable for task in app.supervisor.tasks().values())
    if stuck:
        found.append(f"Processes of {stuck} tasks survive KILL.")
    return found


def _loops(app: App, states: Counter[str], silence: float) -> dict[str, str]:
    """Return one line about each loop, in words."""
    pool = app.dialing.thread_pool()
    waiting = app.session.waiting
    return {
        "link": f"{app.link.transport_name}" if app.link.is_ready else "looking for the server",
        "heart": f"last answer {silence:.1f} s ago, every {app.heart.interval_seconds:g} s",
        "session": f"{waiting} waiting, {app.session.unconfirmed} unconfirmed",
        "supervisor": ", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "idle",
        "logs": f"{app.logs.shipped_bytes} bytes shipped, {app.logs.repeats} repeats",
        "throttle": f"factor {app.throttle.limits.factor:g}, {app.throttle.limits.slots} slots",
        "probes": f"{pool.active_threads} of {pool.max_workers} threads, "
        f"{pool.pending_tasks} waiting",
    }
