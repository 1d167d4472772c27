"""Hot state: what every host said last, in memory, written to its row by a flusher.

Owns the live figures of the agents that talk to this process. A beat costs a dictionary
entry and no database work; `hot_flush` writes changed rows every two seconds, so a crash
of the server loses at most that. Ages are measured on the monotonic clock (R14).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from agent_client.protocol.digest import holds_digest
from agent_client.protocol.messages import (
    Capacity,
    Gpu,
    Heartbeat,
    Hello,
    Hold,
    ProbePool,
    Resources,
    SubAgent,
    ThreadPool,
)
from agent_client.protocol.plugins import PluginState
from agents.principal import AgentPrincipal

NO_THREAD_POOL = ThreadPool()
CONFLICT_SHOWN_SECONDS = 3600.0
COPIED_AT_ONCE = 50
MAX_SUB_AGENTS = 4_096
MAX_GPUS = 64
MAX_PLUGINS = 50


@dataclass(slots=True)
class HotAgent:
    """The last words of one host; `*_at` are monotonic seconds."""

    agent_id: str
    tenant_id: str
    beat_at: float
    first_beat_at: float
    epoch: int = 0
    instance_id: str = ""
    status: str = ""
    thread_pool: ThreadPool = NO_THREAD_POOL
    probe_pool: ProbePool | None = None
    resources: Resources | None = None
    gpus: tuple[Gpu, ...] | None = None
    sub_agents: tuple[SubAgent, ...] = ()
    plugins: tuple[PluginState, ...] = ()
    capacity: Capacity | None = None
    holds: tuple[Hold, ...] | None = None
    holds_digest: str = ""
    reconciled_at: float = float("-inf")
    history_at: float = float("-inf")
    conflict_at: float = float("-inf")
    conflict_address: str = ""
    address: str = ""

    @property
    def age_seconds(self) -> float:
        """Return how long ago the last beat came."""
        return time.monotonic() - self.beat_at

    @property
    def has_conflict(self) -> bool:
        """Return whether another instance used the credential within the hour."""
        return time.monotonic() - self.conflict_at < CONFLICT_SHOWN_SECONDS


_guard = threading.Lock()
_agents: dict[str, HotAgent] = {}
_changed: set[str] = set()


def note_beat(principal: AgentPrincipal, beat: Heartbeat) -> tuple[Hold, ...] | None:
    """Remember a beat; returns what the agent holds, None when its digest is unknown here."""
    with _guard:
        hot = _touch(principal)
        hot.status = beat.status
        hot.thread_pool = beat.thread_pool
        hot.probe_pool = beat.probe_pool or hot.probe_pool
        hot.sub_agents = beat.sub_agents[:MAX_SUB_AGENTS]
        hot.plugins = beat.plugins[:MAX_PLUGINS]
        hot.resources = beat.resources or hot.resources
        hot.gpus = hot.gpus if beat.gpus is None else beat.gpus[:MAX_GPUS]
        hot.capacity = beat.capacity or hot.capacity
        hot.instance_id = beat.instance_id or hot.instance_id
        if beat.holds is not None:
            hot.holds, hot.holds_digest = beat.holds, holds_digest(beat.holds)
        elif beat.holds_digest and beat.holds_digest != hot.holds_digest:
            hot.holds = None
        return hot.holds


def note_hello(principal: AgentPrincipal, hello: Hello) -> tuple[Hold, ...]:
    """Remember the start of a connection; returns what the agent holds."""
    with _guard:
        hot = _touch(principal)
        hot.instance_id = hello.instance_id
        hot.capacity = hello.capacity
        hot.gpus = hello.capacity.gpus[:MAX_GPUS]
        hot.holds, hot.holds_digest = hello.holds, holds_digest(hello.holds)
        return hello.holds


def note_epoch(agent_id: str, epoch: int) -> None:
    """Remember the number of the agent's newest connection."""
    with _guard:
        if hot := _agents.get(agent_id):
            hot.epoch = max(hot.epoch, epoch)


def note_address(principal: AgentPrincipal, address: str) -> None:
    """Remember where the host's messages come from; it counts as a sign of life."""
    with _guard:
        _touch(principal).address = address


def note_reconciled(agent_id: str) -> None:
    """Remember that a beat of the agent is being reconciled now."""
    with _guard:
        if hot := _agents.get(agent_id):
            hot.reconciled_at = time.monotonic()


def note_conflict(agent_id: str, address: str) -> None:
    """Remember that another instance used the agent's credential; its page says so."""
    with _guard:
        if hot := _agents.get(agent_id):
            hot.conflict_at, hot.conflict_address = time.monotonic(), address
            _changed.add(agent_id)


def seconds_since_reconciled(agent_id: str) -> float:
    """Return the seconds since the agent's beats were last reconciled, infinite if never."""
    hot = _agents.get(agent_id)
    return time.monotonic() - hot.reconciled_at if hot else float("inf")


def epoch(agent_id: str) -> int:
    """Return the number of the agent's newest connection that this process knows, else 0."""
    hot = _agents.get(agent_id)
    return hot.epoch if hot else 0


def snapshot(agent_id: str) -> HotAgent | None:
    """Return a copy of what the host said last, None when it never spoke to this process."""
    with _guard:
        hot = _agents.get(agent_id)
        return replace(hot) if hot else None


def live_sub_agents(agent_id: str) -> tuple[SubAgent, ...]:
    """Return the samples of the host's running tasks from its last beat."""
    hot = _agents.get(agent_id)
    return hot.sub_agents if hot else ()


def count_known() -> int:
    """Return how many hosts talk to this process; those silent for long are forgotten."""
    return len(_agents)


def all_agents() -> list[HotAgent]:
    """Return copies of everything known."""
    with _guard:
        return [replace(hot) for hot in _agents.values()]


def take_changed() -> list[HotAgent]:
    """Return copies of what changed since the last call, for the flusher.

    Copied a few at a time: beats on the event loop wait for the guard.
    """
    with _guard:
        names = list(_changed)
        _changed.clear()
    changed: list[HotAgent] = []
    for start in range(0, len(names), COPIED_AT_ONCE):
        with _guard:
            known = (_agents.get(name) for name in names[start : start + COPIED_AT_ONCE])
            changed += [replace(hot) for hot in known if hot]
    return changed


def give_back(agents: list[HotAgent]) -> None:
    """Mark them as changed again: their flush failed."""
    with _guard:
        _changed.update(hot.agent_id for hot in agents)


def note_history(agent_id: str, at: float) -> None:
    """Remember when the host's last line of history was written."""
    with _guard:
        if hot := _agents.get(agent_id):
            hot.history_at = at


def forget(agent_id: str) -> None:
    """Drop what is known of a host, because it was revoked or went silent for long."""
    with _guard:
        _agents.pop(agent_id, None)
        _changed.discard(agent_id)


def silent_for(seconds: float) -> Iterator[str]:
    """Yield the hosts whose last beat is older."""
    until = time.monotonic() - seconds
    with _guard:
        names = [name for name, hot in _agents.items() if hot.beat_at < until]
    yield from names


def clear() -> None:
    """Forget everything; for tests and the end of the process."""
    with _guard:
        _agents.clear()
        _changed.clear()


def _touch(principal: AgentPrincipal) -> HotAgent:
    """Return the agent's entry with its beat set to now; the caller holds the guard."""
    now = time.monotonic()
    hot = _agents.get(principal.agent_id)
    if hot is None:
        hot = HotAgent(principal.agent_id, principal.tenant_id, now, now, principal.epoch)
        _agents[principal.agent_id] = hot
    hot.beat_at = now
    _changed.add(principal.agent_id)
    return hot
