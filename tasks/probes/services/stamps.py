"""Notices that the probes of a tenant changed: a number in the database, a doorbell beside it."""

from __future__ import annotations

from functools import partial

from django.db import transaction
from django.db.models import F

from dialer_platform.console import relay
from tasks.probes import sets
from tasks.probes.models import ProbeStamp


def stamp(tenant_id: str) -> None:
    """Count one change of what the tenant's agents are to run; inside its transaction."""
    ProbeStamp.objects.get_or_create(tenant_id=tenant_id)
    ProbeStamp.objects.filter(tenant_id=tenant_id).update(number=F("number") + 1)
    transaction.on_commit(partial(_ring, tenant_id))


def _ring(tenant_id: str) -> None:
    """Have this process and the others look at the tenant's probes again."""
    sets.note_change(tenant_id)
    relay.broadcast(sets.CHANGED, {"tenant_id": tenant_id})
