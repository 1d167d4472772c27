"""What every host is to probe, remembered for beats and for judging results.

Owns a memory of this process: agent -> probes and revision. The truth is the database:
a change made here rings at once, one made in another process by the doorbell, and a
thread compares the tenants' stamps every few seconds in case a ring was lost. Promises
that `revision()` never waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from django.db import DatabaseError, close_old_connections
from django.db.models import QuerySet

from agent_client.protocol.messages import Ack
from agent_client.protocol.probes import ProbeRun, ProbeSet, ProbeTask
from agents import connections, database_clock
from agents.models import Agent
from tasks.probes.assignment import Wish, assign, revision_of
from tasks.probes.models import Probe, ProbeRunRequest, ProbeStamp

log = logging.getLogger("dialer.probes.sets")

CHANGED = "probes.changed"
COMPARE_SECONDS = 2.0
READ_ALL_SECONDS = 30.0
"""New hosts, labels and expired test runs ring no bell; all is read again this often."""
LOOK_AGAIN_SECONDS = 1.0
MAX_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Duty:
    """What one agent is to run: probe id -> version; revision 0 says nothing is known."""

    tenant_id: str
    revision: int
    probes: Mapping[int, int]


NOTHING = Duty("", 0, MappingProxyType({}))

_guard = threading.Lock()
_duties: dict[str, Duty] = {}
_stamps: dict[str, int] = {}
_changed: set[str] = set()
_looked_at: dict[str, float] = {}
_wake = threading.Event()
_stopping = threading.Event()
_thread: threading.Thread | None = None


def duty(agent_id: str) -> Duty:
    """Return what is remembered of an agent; nothing for one that is not known yet."""
    return _duties.get(agent_id, NOTHING)


def note_change(tenant_id: str) -> None:
    """Have the tenant's agents looked up again, by the thread; after the commit."""
    with _guard:
        _changed.add(tenant_id)
    _wake.set()


def on_ring(payload: dict[str, str]) -> None:
    """Answer the doorbell of another process."""
    note_change(payload["tenant_id"])


def refresh(tenant_id: str) -> None:
    """Read the tenant's probes and hosts now, and tell connected hosts what is new."""
    fresh = read_duties(tenant_id)
    with _guard:
        before = {name for name, known in _duties.items() if known.tenant_id == tenant_id}
        for name in before - fresh.keys():
            del _duties[name]
        news = {
            name: found.revision
            for name, found in fresh.items()
            if _duties.get(name, NOTHING).revision != found.revision
        }
        _duties.update(fresh)
    for name, number in news.items():
        if connection := connections.get(name):
            connection.send([Ack(message_id="", probes_revision=number)])


def read_duties(tenant_id: str) -> dict[str, Duty]:
    """Return what each host of a tenant is to run, as the database has it."""
    hosts = Agent.objects.of_tenant(tenant_id).hosts().enrolled()
    rows = list(hosts.values_list("id", "labels", "is_paused"))
    labels = {name: words or {} for name, words, is_paused in rows if not is_paused}
    # A paused host has an empty set with a number: nothing to run, which is not "unknown".
    rest: Mapping[int, int] = {}
    assigned = {name: rest for name, _words, is_paused in rows if is_paused}
    requests: dict[str, list[str]] = {}
    for request_id, agent_id in (
        open_requests().filter(tenant_id=tenant_id).values_list("id", "agent_id")
    ):
        requests.setdefault(agent_id, []).append(request_id)
    numbers: dict[tuple[int, tuple[str, ...]], int] = {}
    duties = {}
    for name, probes in (assigned | assign(read_wishes(tenant_id), labels)).items():
        # Most hosts of a fleet share one mapping: its digest is worked out once.
        key = (id(probes), tuple(requests.get(name, ())))
        if key not in numbers:
            numbers[key] = revision_of(probes, key[1])
        duties[name] = Duty(tenant_id, numbers[key], probes)
    return duties


def read_wishes(tenant_id: str) -> list[Wish]:
    """Return who is to run each probe of a tenant."""
    named: dict[int, set[str]] = {}
    through = Probe.agents.through.objects.filter(probe__tenant_id=tenant_id)
    for probe_id, agent_id in through.values_list("probe_id", "agent_id"):
        named.setdefault(probe_id, set()).add(agent_id)
    rows = Probe.objects.of_tenant(tenant_id).for_agents().order_by("id")
    return [
        Wish(
            probe_id,
            version,
            frozenset(named.get(probe_id, ())),
            tuple(sorted((words or {}).items())),
        )
        for probe_id, version, words in rows.values_list("id", "version", "labels")
    ]


def open_requests() -> QuerySet[ProbeRunRequest]:
    """Return the test runs that agents still have to do."""
    now = database_clock.now()
    return ProbeRunRequest.objects.filter(answered_at=None, expires_at__gt=now)


def read_set(agent_id: str, tenant_id: str) -> ProbeSet:
    """Return all that one agent is to run now; remembers its number."""
    found = read_duties(tenant_id).get(agent_id)
    if found is None:
        return ProbeSet(revision=0)
    with _guard:
        _duties[agent_id] = found
    rows = Probe.objects.filter(id__in=found.probes).order_by("id")
    wanted = open_requests().filter(agent_id=agent_id).order_by("created_at")
    return ProbeSet(
        revision=found.revision,
        tasks=tuple(task_of(probe) for probe in rows),
        runs=tuple(ProbeRun(request_id=one.pk, task=ProbeTask(**one.task)) for one in wanted),
    )


def task_of(probe: Probe) -> ProbeTask:
    """Return the probe as an agent runs it."""
    return ProbeTask(
        task_id=probe.pk or 0,
        tenant_id=probe.tenant_id,
        kind=probe.kind,
        interval=float(probe.interval),
        target=probe.target,
        timeout=probe.timeout or 0.0,
        config=probe.config,
        version=probe.version,
    )


def may_look_again(agent_id: str) -> bool:
    """Return whether an agent's surprising result is worth a look at the database now.

    At most once a second per agent: a hostile one must not turn each result into queries.
    """
    now = time.monotonic()
    with _guard:
        if now - _looked_at.get(agent_id, float("-inf")) < LOOK_AGAIN_SECONDS:
            return False
        if len(_looked_at) > MAX_LOOKED_AT:
            _looked_at.clear()
        _looked_at[agent_id] = now
    return True


def look_again(agent_id: str, tenant_id: str) -> Duty:
    """Read the tenant's probes now and return what the agent is to run."""
    refresh(tenant_id)
    return duty(agent_id)


def start() -> None:
    """Start the thread that keeps the memory fresh."""
    global _thread
    _stopping.clear()
    _wake.set()
    _thread = threading.Thread(target=_work, name="probe-sets", daemon=True)
    _thread.start()


def stop() -> None:
    """End the thread."""
    global _thread
    _stopping.set()
    _wake.set()
    if _thread:
        _thread.join(10)
        _thread = None


def clear() -> None:
    """Forget everything; for tests."""
    with _guard:
        _duties.clear()
        _stamps.clear()
        _changed.clear()
        _looked_at.clear()


def compare_stamps() -> None:
    """Read again every tenant whose stamp grew since it was last looked at."""
    stamps = dict(ProbeStamp.objects.values_list("tenant_id", "number"))
    with _guard:
        tenants = {name for name, number in stamps.items() if _stamps.get(name) != number}
        tenants |= _changed
        _changed.clear()
        # Before reading: a change from now on is seen at the next look.
        _stamps.update(stamps)
    for tenant_id in tenants:
        refresh(tenant_id)


def _work() -> None:
    """Compare every few seconds, or at once when rung; read all of it now and then."""
    read_all_at = 0.0
    while not _stopping.is_set():
        _wake.clear()
        try:
            if time.monotonic() >= read_all_at:
                with _guard:
                    _stamps.clear()
                read_all_at = time.monotonic() + READ_ALL_SECONDS
            compare_stamps()
        except DatabaseError:
            log.warning("the probes could not be read", exc_info=True)
        finally:
            close_old_connections()
        _wake.wait(COMPARE_SECONDS)
        # A burst of changes is one look: they come in dozens when somebody edits in bulk.
        _stopping.wait(0.05)
