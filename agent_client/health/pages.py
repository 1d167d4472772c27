"""What the local endpoint answers: liveness, readiness, status as JSON, Prometheus text."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from agent_client.health.report import Health

GAUGES = {
    "slots": "Tasks that may run at once now",
    "slots_booked": "Slots that are taken",
    "adaptive_factor": "Share of its limits that the host uses",
    "messages_waiting": "Messages that wait to be sent",
    "messages_unconfirmed": "Messages sent and not confirmed",
    "silence_seconds": "Seconds since the server answered a beat",
    "loop_lag_p50_seconds": "Half of the loop's turns were no later than this",
    "loop_lag_p99_seconds": "99 of 100 of the loop's turns were no later than this",
    "spawn_p50_seconds": "Half of the last tasks had their script started within this",
    "spawn_p99_seconds": "99 of 100 of the last tasks had their script started within this",
    "outbox_results": "Probe results that the server has not confirmed",
    "outbox_bytes": "Bytes of the outbox of probe results",
    "outbox_fill": "Share of the outbox's bound that is in use",
    "disk_usage_percent": "Use of the state directory's file system",
    "memory_bytes": "Resident memory of the agent",
    "cpu_percent": "CPU of the agent, 100 is one core",
    "uptime_seconds": "Seconds since the agent's start",
}
COUNTERS = {
    "messages_repeated": "Messages sent again after a reconnect",
    "log_bytes_shipped": "Bytes of task output sent to the server",
}


class Page(msgspec.Struct, frozen=True):
    """One answer."""

    status: int
    content_type: str
    body: bytes


def page_for(path: str, health: Health) -> Page | None:
    """Return the answer to a path, None for an unknown one."""
    if path == "/live":
        # That it is answered at all is the message: the loop turns.
        return Page(200, "text/plain; charset=utf-8", b"ok\n")
    if path == "/ready":
        text = "\n".join(health.problems) or "ok"
        return Page(
            200 if health.is_ready else 503, "text/plain; charset=utf-8", f"{text}\n".encode()
        )
    if path == "/status":
        body = msgspec.json.format(msgspec.json.encode(health), indent=2)
        return Page(200, "application/json", body + b"\n")
    if path == "/metrics":
        text = "".join(metrics(health))
        return Page(200, "text/plain; version=0.0.4; charset=utf-8", text.encode())
    return None


def metrics(health: Health) -> Iterator[str]:
    """Yield the figures in Prometheus' text format."""
    for names, kind in ((GAUGES, "gauge"), (COUNTERS, "counter")):
        for name, help in names.items():
            full = f"dialer_agent_{name}" + ("_total" if kind == "counter" else "")
            yield f"# HELP {full} {help}\n# TYPE {full} {kind}\n{full} {getattr(health, name)}\n"
    yield f"# TYPE dialer_agent_ready gauge\ndialer_agent_ready {int(health.is_ready)}\n"
    yield "# TYPE dialer_agent_tasks gauge\n"
    for state in ("accepted", "claimed", "running", "finished"):
        yield f'dialer_agent_tasks{{state="{state}"}} {health.tasks.get(state, 0)}\n'
    yield "# TYPE dialer_agent_probe_pool gauge\n"
    for name, value in health.thread_pool.items():
        yield f'dialer_agent_probe_pool{{field="{name}"}} {value}\n'
