"""Writes hot state to the rows every two seconds, and one line of history a minute per host.

One `executemany` in one transaction: 0.004 ms a row, where bulk_update takes 0.35. A beat
is written with the database's time minus its age, and never over a newer one (R12); a
stamp from the future is older, whatever it says: the clock was set back since (R14).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from django.db import DatabaseError, connection

from agents import database_clock, events, history, hot, pace, release_duty, revocations
from agents.hot import HotAgent
from agents.live_figures import gpu_json, resources_json, thread_pool_json
from dialer_platform.storage import write_transaction

log = logging.getLogger("dialer.agents.flush")

FLUSH_SECONDS = 2.0
MAX_FLUSH_SECONDS = 5.0
FORGET_SECONDS = 24 * 3600.0
STATEMENT = """
    UPDATE agents_agent
    SET status = 'online', online_since = COALESCE(online_since, %s), last_heartbeat_time = %s,
        cpu_usage = %s, memory_usage = %s, resources = %s, gpu_info = %s, thread_pool = %s
    WHERE id = %s AND revoked_at IS NULL
      AND (last_heartbeat_time IS NULL OR last_heartbeat_time < %s OR last_heartbeat_time > %s)
"""
CAPACITY_STATEMENT = """
    UPDATE agents_agent SET cpu_cores = %s, memory_bytes = %s, slots = %s, script_types = %s
    WHERE id = %s AND (cpu_cores <> %s OR memory_bytes <> %s OR slots <> %s)
"""

Reader = Callable[[Sequence[HotAgent]], None]
_readers: dict[str, Reader] = {}


def register_reader(name: str, reader: Reader) -> None:
    """Have another app read what changed, after each flush and in the flusher's thread."""
    _readers[name] = reader


def flush() -> int:
    """Write what changed since the last flush and return how many hosts; raises DatabaseError."""
    changed = hot.take_changed()
    if not changed:
        return 0
    try:
        with write_transaction(), connection.cursor() as cursor:
            cursor.executemany(STATEMENT, _rows(changed))
            capacities = [_capacity_row(one) for one in changed if one.capacity]
            if capacities:
                cursor.executemany(CAPACITY_STATEMENT, capacities)
    except DatabaseError:
        hot.give_back(changed)
        raise
    _show_readers(changed)
    _tell_pages(changed)
    return len(changed)


def flush_seconds() -> float:
    """Return the pause between flushes: with a large fleet each host is written once a beat."""
    return min(MAX_FLUSH_SECONDS, max(FLUSH_SECONDS, pace.heartbeat_interval()))


class Flusher:
    """The thread that flushes, keeps history and looks for revoked credentials."""

    def __init__(self) -> None:
        """Be ready to start."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread unless it runs."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._work, name="agents-flusher", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Write what is left and end the thread."""
        self._stopping.set()
        if self._thread:
            self._thread.join(10.0)
            self._thread = None

    def _work(self) -> None:
        """Flush until told to stop, and once more then."""
        try:
            while not self._stopping.wait(flush_seconds()):
                self._round()
            self._round()
        finally:
            connection.close()

    def _round(self) -> None:
        """Do one round; a database or disk in trouble is met again in two seconds."""
        try:
            flush()
            revocations.enforce()
            release_duty.refresh()
        except DatabaseError:
            log.exception("live figures could not be written")
            connection.close()
        except Exception:  # hosts say what they like; no figure of one may end the thread
            log.exception("live figures of some host cannot be stored")
        try:
            history.sample()
        except OSError:
            log.exception("the history of hosts could not be written")
        for agent_id in hot.silent_for(FORGET_SECONDS):
            hot.forget(agent_id)


_flusher = Flusher()
start = _flusher.start
stop = _flusher.stop


def _rows(changed: list[HotAgent]) -> list[tuple[Any, ...]]:
    """Return the parameters of STATEMENT for the hosts."""
    now, tick = database_clock.now(), time.monotonic()
    adapt = connection.ops.adapt_datetimefield_value
    future = adapt(now + database_clock.TOLERANCE)
    times: dict[float, Any] = {}  # beats of the same tenth of a second share one conversion
    rows = []
    for one in changed:
        age_seconds = max(0.0, round(tick - one.beat_at, 1))
        if age_seconds not in times:
            times[age_seconds] = adapt(now - timedelta(seconds=age_seconds))
        rows.append((*_row(one, times[age_seconds]), future))
    return rows


def _row(one: HotAgent, beat_time: Any) -> tuple[Any, ...]:
    """Return the parameters of STATEMENT for one host, but for the last."""
    resources = one.resources
    return (
        beat_time,
        beat_time,
        resources.cpu_usage if resources else 0.0,
        resources.memory_usage if resources else 0.0,
        _json(resources_json(resources)),
        _json([gpu_json(gpu) for gpu in one.gpus or ()]),
        _json(thread_pool_json(one.thread_pool, one.probe_pool)),
        one.agent_id,
        beat_time,
    )


def _capacity_row(one: HotAgent) -> tuple[Any, ...]:
    """Return the parameters of CAPACITY_STATEMENT for one host."""
    capacity = one.capacity
    assert capacity is not None  # noqa: S101 - the caller filters
    figures = (max(0, capacity.cpu_cores), max(0, capacity.memory_bytes), max(0, capacity.slots))
    return (*figures, _json(list(capacity.script_types)), one.agent_id, *figures)


def _json(value: Any) -> str:
    """Return a value as JSON text; a fifth of the time of the standard library's."""
    return msgspec.json.encode(value).decode()


def _show_readers(changed: list[HotAgent]) -> None:
    """Show the registered readers what changed, before pages look at what they made of it."""
    for name, reader in _readers.items():
        try:
            reader(changed)
        except Exception:  # the other readers and the next flush do not depend on it
            log.exception("live figures could not be read by %s", name)


def _tell_pages(changed: list[HotAgent]) -> None:
    """Tell open pages that figures moved."""
    by_tenant: dict[str, list[str]] = defaultdict(list)
    for one in changed:
        by_tenant[one.tenant_id].append(one.agent_id)
    for tenant_id, agent_ids in by_tenant.items():
        events.publish(tenant_id, agent_ids)
