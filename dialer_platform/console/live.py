"""Live hints: "something about this topic changed", from any thread to whoever watches.

Owns the subscriptions of this process. A hint carries no data and may be lost; whoever
gets one reads the truth itself. Promises that publish() never blocks and never raises,
and that a topic is passed on at once and then at most every 100 ms (a log every 20 ms): a
burst of changes costs its watchers one call, and nothing at all where nobody watches.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

from dialer_platform.console import relay

logger = logging.getLogger(__name__)

COALESCE_SECONDS = 0.1
LOG_COALESCE_SECONDS = 0.02
"""A line should be seen at once; its watchers read one range of a file, not a page."""
LOG_PREFIX = "log."
HINT = "live.hint"

Key = tuple[str, str]
"""(tenant id, topic)."""
Callback = Callable[[str, int], None]
"""Called with (topic, version) from any thread; must not block."""

_guard = threading.Lock()
_wake = threading.Condition(_guard)
_subscribers: dict[Key, list[Callback]] = {}
_pending: dict[Key, bool] = {}
"""Topics within their pause: True when another hint waits for the end."""
_due: list[tuple[float, Key]] = []
# Versions rise across restarts, so that a page never takes a newer hint for an older one.
_versions = itertools.count(int(time.time() * 1000))
_timer: threading.Thread | None = None


def publish(topic: str, *, tenant_id: str) -> None:
    """Tell every watcher of the topic in this tenant, here and in the other processes.

    Call it after the commit. The topics are tasks, task.<id>, log.<id>, agents, agent.<id>,
    probes, probe.<id>, alerts and templates.
    """
    key = (tenant_id, topic)
    if _admit(key):
        _dispatch(key)


def subscribe(topic: str, callback: Callback, *, tenant_id: str = "") -> Callable[[], None]:
    """Call back on every hint of the topic; returns the function that ends it.

    Without a tenant the topic of every tenant is meant: for code of the server that has
    already checked who may see the object.
    """
    key = (tenant_id, topic)
    with _guard:
        _subscribers.setdefault(key, []).append(callback)

    def unsubscribe() -> None:
        with _guard:
            callbacks = _subscribers.get(key, [])
            if callback in callbacks:
                callbacks.remove(callback)
            if not callbacks:
                _subscribers.pop(key, None)

    return unsubscribe


def count_subscriptions() -> int:
    """Return how many callbacks are registered."""
    with _guard:
        return sum(map(len, _subscribers.values()))


def listen() -> None:
    """Pass hints of the other server processes on to the watchers of this one."""
    relay.on(HINT, _on_remote_hint)


def _admit(key: Key) -> bool:
    """Return whether the hint goes out now; otherwise it waits or nobody wants it."""
    with _guard:
        if key in _pending:
            _pending[key] = True
            return False
        if not _is_watched(key) and not relay.is_enabled():
            return False
        _pending[key] = False
        heapq.heappush(_due, (time.monotonic() + _pause_seconds(key[1]), key))
        _ensure_timer()
        _wake.notify()
        return True


def _pause_seconds(topic: str) -> float:
    """Return how long further hints of the topic wait after one went out."""
    return LOG_COALESCE_SECONDS if topic.startswith(LOG_PREFIX) else COALESCE_SECONDS


def _is_watched(key: Key) -> bool:
    """Return whether anybody in this process watches the topic; the caller holds the guard."""
    return key in _subscribers or ("", key[1]) in _subscribers


def _dispatch(key: Key) -> None:
    """Call the watchers here and ring the other processes."""
    tenant_id, topic = key
    _call_watchers(key)
    relay.broadcast(HINT, {"tenant_id": tenant_id, "topic": topic})


def _call_watchers(key: Key) -> None:
    """Call every callback of the topic; one that fails does not keep the others waiting."""
    topic = key[1]
    with _guard:
        version = next(_versions)
        callbacks = [*_subscribers.get(key, ()), *_subscribers.get(("", topic), ())]
    for callback in callbacks:
        try:
            callback(topic, version)
        except Exception:  # The publisher has committed its work and must go on.
            logger.exception("a watcher of live hints failed", extra={"data": {"topic": topic}})


def _on_remote_hint(payload: dict[str, str]) -> None:
    """Pass on the hint of another process; it has been coalesced there."""
    _call_watchers((payload["tenant_id"], payload["topic"]))


def _ensure_timer() -> None:
    """Start the thread that ends the pause of each topic; the caller holds the guard."""
    global _timer
    if _timer is None or not _timer.is_alive():
        _timer = threading.Thread(target=_run_timer, name="live-hints", daemon=True)
        _timer.start()


def _run_timer() -> None:
    """Send what waited at the end of each topic's pause, for as long as the process lives."""
    while True:
        for key in _take_due():
            _dispatch(key)


def _take_due() -> list[Key]:
    """Wait for the next topic that is due; return those for which a hint waits."""
    with _guard:
        while not _due or (left := _due[0][0] - time.monotonic()) > 0:
            _wake.wait(left if _due else None)
        now = time.monotonic()
        waiting = []
        while _due and _due[0][0] <= now:
            key = heapq.heappop(_due)[1]
            if _pending.pop(key):
                waiting.append(key)
                _pending[key] = False
                heapq.heappush(_due, (now + _pause_seconds(key[1]), key))
        return waiting
