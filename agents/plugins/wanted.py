"""The number of every host's set of plug-ins, remembered for beats.

Owns a memory of this process: agent -> number and active names. The truth is the table
`PluginDuty`: a change made here is remembered and told at once, one made in another
process by the doorbell, and a thread reads all of it now and then in case a ring was
lost. Promises that `revision()` never waits.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from django.db import DatabaseError, close_old_connections

from agent_client.protocol.messages import Ack
from agent_client.protocol.plugins import PluginPackage as PackageOnWire
from agent_client.protocol.plugins import PluginSet, PluginWanted
from agents import connections
from agents.plugins.models import AgentPlugin, PluginDuty
from dialer_platform.console import relay

log = logging.getLogger("dialer.agents.plugins")

CHANGED = "plugins.changed"
READ_ALL_SECONDS = 30.0
REVISION_BITS = 52
"""A revision is a JSON number; browsers hold 53 bits exactly."""


class Duty(NamedTuple):
    """What one host is to run: the number of the set, 0 for none ever, and its names."""

    number: int
    names: frozenset[str]


NOTHING = Duty(0, frozenset())

_guard = threading.Lock()
_duties: dict[str, Duty] = {}
_rung: set[str] = set()
_wake = threading.Event()
_stopping = threading.Event()
_thread: threading.Thread | None = None


def revision(agent_id: str) -> int:
    """Return the number of the host's set, from memory; 0 while there is nothing to say."""
    return _duties.get(agent_id, NOTHING).number


def duty(agent_id: str) -> Duty:
    """Return what is remembered of a host."""
    return _duties.get(agent_id, NOTHING)


def revision_of(plugins: Iterable[PluginWanted]) -> int:
    """Return a number for a content: the same content, the same number, never 0.

    A digest and not a counter: it survives a restored backup. An empty set has a number,
    too, or the last removal would go unnoticed.
    """
    text = msgspec.json.encode(tuple(plugins), order="deterministic")
    digest = hashlib.blake2b(text, digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> (64 - REVISION_BITS)) or 1


def wanted_of(row: AgentPlugin) -> PluginWanted:
    """Return a row as its agent is told; the package has to be read with it."""
    package = row.package
    return PluginWanted(
        name=row.name,
        interval_seconds=row.interval_seconds,
        config=row.config,
        package=PackageOnWire(
            package.version, package.sha256, package.signature, package.size_bytes
        )
        if package
        else None,
    )


def read_set(agent_id: str, tenant_id: str) -> PluginSet:
    """Return all that one host is to run now, as the database has it."""
    rows = AgentPlugin.objects.filter(agent_id=agent_id, tenant_id=tenant_id, enabled=True)
    plugins = tuple(wanted_of(row) for row in rows.select_related("package").order_by("name"))
    known = PluginDuty.objects.filter(agent_id=agent_id).exists()
    # A host that never had a plug-in keeps 0: there is nothing to fetch for it.
    return PluginSet(revision=revision_of(plugins) if plugins or known else 0, plugins=plugins)


def tell(agent_id: str, fresh: Duty) -> None:
    """Remember a committed change and have the host hear of it, wherever it is connected."""
    _note(agent_id, fresh)
    relay.broadcast(CHANGED, {"agent_id": agent_id})


def on_ring(payload: dict[str, str]) -> None:
    """Answer the doorbell of another process; the thread reads."""
    with _guard:
        _rung.add(payload["agent_id"])
    _wake.set()


def read_rung() -> None:
    """Read the hosts that the doorbell named."""
    with _guard:
        names = list(_rung)
        _rung.clear()
    if names:
        _take(PluginDuty.objects.filter(agent_id__in=names).values_list(*_FIELDS))


def read_all() -> None:
    """Read every host's number."""
    _take(PluginDuty.objects.values_list(*_FIELDS))


def start() -> None:
    """Hear other processes, and start the thread that keeps the memory fresh."""
    global _thread
    relay.on(CHANGED, on_ring)
    _stopping.clear()
    _thread = threading.Thread(target=_work, name="plugin-sets", daemon=True)
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
        _rung.clear()


_FIELDS = ("agent_id", "number", "names")


def _take(rows: Iterable[tuple[str, int, list[str]]]) -> None:
    """Remember rows, and tell connected hosts what is new to this process."""
    for agent_id, number, names in rows:
        if _duties.get(agent_id, NOTHING).number != number:
            _note(agent_id, Duty(number, frozenset(names)))


def _note(agent_id: str, fresh: Duty) -> None:
    """Remember one host's set and name its number to the host if it is connected here."""
    with _guard:
        _duties[agent_id] = fresh
    if connection := connections.get(agent_id):
        connection.send([Ack(message_id="", plugins_revision=fresh.number)])


def _work() -> None:
    """Read what was rung for at once, and all of it every half a minute."""
    while not _stopping.is_set():
        try:
            read_all()
            # The doorbell is answered between two readings of everything.
            while _wake.wait(READ_ALL_SECONDS) and not _stopping.is_set():
                _wake.clear()
                read_rung()
        except DatabaseError:
            log.warning("the plug-ins of hosts could not be read", exc_info=True)
            _stopping.wait(1.0)
        finally:
            close_old_connections()
