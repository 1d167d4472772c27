"""What happened to probes: told to whoever listens in the transaction, and to pages after it.

The only place of this app that calls the live hub. Listeners (alerts) write in the same
transaction as the change itself, so none is lost or told twice; a listener that fails is
logged and rolled back alone. Hints carry no data and may be lost.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.db import transaction

from dialer_platform.console import live
from tasks.probes.models import Incident, Probe

log = logging.getLogger("dialer.probes.events")

LIST_TOPIC = "probes"
AGENT_TOPIC_PREFIX = "agent."


@dataclass(frozen=True, slots=True)
class ProbeChange:
    """A probe's state became another one.

    suppressed_by is empty, `maintenance`, or `probe:<id>` of the parent that is down;
    incident is the one that was opened or closed by it, if any.
    """

    probe: Probe
    old: str
    new: str
    at: datetime
    incident: Incident | None = None
    suppressed_by: str = ""
    is_flapping: bool = False


Listener = Callable[[ProbeChange], None]
_listeners: list[Listener] = []


def on_probe_changed(listener: Listener) -> None:
    """Call the listener at every change, inside its transaction."""
    if listener not in _listeners:
        _listeners.append(listener)


def probe_changed(change: ProbeChange) -> None:
    """Tell the listeners now and the pages after the commit."""
    for listener in _listeners:
        try:
            with transaction.atomic():
                listener(change)
        except Exception:  # An alert that cannot be written must not lose the state.
            log.exception("a listener failed", extra={"data": {"probe": change.probe.pk}})
    probes_changed([change.probe.pk], tenant_id=change.probe.tenant_id)


def probes_changed(probe_ids: Iterable[int], *, tenant_id: str) -> None:
    """Tell the pages, after the commit, that these probes of one tenant changed."""
    transaction.on_commit(partial(publish, tuple(probe_ids), tenant_id))


def publish(probe_ids: Iterable[int], tenant_id: str) -> None:
    """Publish one hint per probe and one for the list."""
    for probe_id in probe_ids:
        live.publish(f"probe.{probe_id}", tenant_id=tenant_id)
    live.publish(LIST_TOPIC, tenant_id=tenant_id)
