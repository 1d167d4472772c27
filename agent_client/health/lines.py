"""One line about each part of the agent, in words: a person sees at once which stands still.

Every part that `app` starts has its line, and so has what lives within one: the session of
the link, the outbox and the uploader of the probes. A test compares the names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_client.app import App

Line = Callable[["App", float], str]
"""The agent and the moment (monotonic seconds) in, one line out."""
WITHIN = ("session", "outbox", "uploader")
_MIB = 2**20


def lines_of(app: App, now: float) -> dict[str, str]:
    """Return the lines by name, in the order of the start."""
    return {name: LINES[name](app, now) for name in (*names_of(app), *WITHIN)}


def names_of(app: App) -> tuple[str, ...]:
    """Return the names of what the agent starts."""
    return tuple(part.name for part in app.parts())


def _lag(app: App, now: float) -> str:
    p50, p99 = (app.lag.percentile(share) * 1000 for share in (0.5, 0.99))
    return f"the loop runs {p50:.1f} ms late, p99 {p99:.1f} ms"


def _health(app: App, now: float) -> str:
    return ", ".join(app.health.addresses) or "nobody can ask"


def _supervisor(app: App, now: float) -> str:
    states = Counter(str(task.state) for task in app.supervisor.tasks().values())
    held = ", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "idle"
    starts = app.supervisor.spawn_seconds
    if not len(starts):
        return held
    p50, p99 = (starts.percentile(share) * 1000 for share in (0.5, 0.99))
    return f"{held}; starts take {p50:.0f} ms, p99 {p99:.0f} ms"


def _runs(app: App, now: float) -> str:
    booked, slots = app.ledger.slots_booked, app.throttle.limits.slots
    return f"{booked} of {slots} slots, {app.runs.transfers} transfers"


def _sampler(app: App, now: float) -> str:
    return _ago("host looked at", app.sampler.sampled_at, now)


def _throttle(app: App, now: float) -> str:
    limits = app.throttle.limits
    state = "" if app.config.resource_adaptive.enabled else ", not adapted"
    return f"factor {limits.factor:g}, {limits.slots} slots{state}"


def _probes(app: App, now: float) -> str:
    pool = app.dialing.thread_pool()
    return f"{pool.active_threads} of {pool.max_workers} threads, {pool.pending_tasks} waiting"


def _plugins(app: App, now: float) -> str:
    states = Counter(str(one.condition) for one in app.plugins.states())
    return ", ".join(f"{n} {state}" for state, n in sorted(states.items())) or "none wanted"


def _upgrader(app: App, now: float) -> str:
    if app.upgrader.is_busy:
        return "at work"
    state = app.upgrader.state()
    if state is None:
        return "not installed in versions"
    if state.code:
        return f"failed: {state.code}"
    return "idle" if state.can_change else "idle, the policy allows no other version"


def _logs(app: App, now: float) -> str:
    return f"{app.logs.shipped_bytes} bytes shipped, {app.logs.repeats} repeats"


def _link(app: App, now: float) -> str:
    return app.link.transport_name if app.link.is_ready else "looking for the server"


def _heart(app: App, now: float) -> str:
    silence = max(0.0, now - app.heart.heard_at)
    return f"last answer {silence:.1f} s ago, every {app.heart.interval_seconds:g} s"


def _system(app: App, now: float) -> str:
    return _ago("facts collected", app.system.looked_at, now)


def _session(app: App, now: float) -> str:
    return f"{app.session.waiting} waiting, {app.session.unconfirmed} unconfirmed"


def _outbox(app: App, now: float) -> str:
    found = app.dialing.backlog()
    return (
        f"{found.results} results, {found.size_bytes / _MIB:.1f} MiB, "
        f"{100 * found.fill:.0f} % of its bound"
    )


def _uploader(app: App, now: float) -> str:
    found = app.dialing.backlog()
    how = f"{found.failures} failures in a row" if found.failures else "works"
    return f"{how}, {found.refused} results refused"


def _ago(what: str, moment: float | None, now: float) -> str:
    return f"{what} {max(0.0, now - moment):.1f} s ago" if moment is not None else f"not yet {what}"


LINES: Mapping[str, Line] = MappingProxyType(
    {
        "lag": _lag,
        "health": _health,
        "supervisor": _supervisor,
        "runs": _runs,
        "sampler": _sampler,
        "throttle": _throttle,
        "probes": _probes,
        "plug-ins": _plugins,
        "upgrader": _upgrader,
        "logs": _logs,
        "link": _link,
        "heart": _heart,
        "system": _system,
        "session": _session,
        "outbox": _outbox,
        "uploader": _uploader,
    }
)
