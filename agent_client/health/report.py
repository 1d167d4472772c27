"""The state of the agent at one moment, as data: what `status`, JSON and metrics show.

Pure but for the parts it reads, each by one attribute. `lines` says in words what each part
is doing, so that a person sees in five seconds which one stands still.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from agent_client import __version__
from agent_client.health.lines import lines_of

if TYPE_CHECKING:
    from agent_client.app import App

READY_SILENCE_SECONDS = 10.0
READY_SILENT_BEATS = 3
MAX_LAG_SECONDS = 1.0
MAX_OUTBOX_FILL = 0.8
"""Beyond it there is little time left until results are dropped."""


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
    spawn_p50_seconds: float = 0.0
    """From asking for a sub-agent until its script's identity is known, of the last 1,000."""
    spawn_p99_seconds: float = 0.0
    outbox_results: int = 0
    outbox_bytes: int = 0
    outbox_fill: float = 0.0
    """Share of the outbox's bound, 0 to 1."""
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
    backlog = app.dialing.backlog()
    spawns = app.supervisor.spawn_seconds
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
        loops=lines_of(app, moment),
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
        spawn_p50_seconds=round(spawns.percentile(0.5), 6),
        spawn_p99_seconds=round(spawns.percentile(0.99), 6),
        outbox_results=backlog.results,
        outbox_bytes=backlog.size_bytes,
        outbox_fill=round(backlog.fill, 4),
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
    fill = app.dialing.backlog().fill
    if fill > MAX_OUTBOX_FILL:
        found.append(
            f"The outbox of probe results is {100 * fill:.0f} % full: the server takes none."
        )
    stuck = sum(task.unkillable for task in app.supervisor.tasks().values())
    if stuck:
        found.append(f"Processes of {stuck} tasks survive KILL.")
    return found
