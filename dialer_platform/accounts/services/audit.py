"""Writes the audit trail: who did what to which object, in the act's own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import models

from dialer_platform.accounts.models import AuditEvent
from dialer_platform.accounts.principal import Principal
from dialer_platform.storage import write_transaction

SYSTEM_ACTOR = "system"
ACTOR_CHARACTERS = 200


def record(
    actor: Principal | str | None,
    action: str,
    obj: models.Model | None = None,
    detail: Mapping[str, Any] | None = None,
    *,
    tenant_id: str | None = None,
    address: str = "",
) -> AuditEvent:
    """Append one entry; call it inside the transaction of the act itself.

    The actor is a principal, a name such as `agent:a-1` or `command line`, or None for the
    system. The tenant is the object's, else the principal's, else the one given.
    """
    is_principal = isinstance(actor, Principal)
    name = actor.name if isinstance(actor, Principal) else str(actor or SYSTEM_ACTOR)
    found_tenant = tenant_id or getattr(obj, "tenant_id", None)
    if found_tenant is None and isinstance(actor, Principal):
        found_tenant = actor.tenant_id
    with write_transaction():
        return AuditEvent.objects.create(
            tenant_id=found_tenant,
            actor=name[:ACTOR_CHARACTERS],
            address=actor.address if is_principal and isinstance(actor, Principal) else address,
            action=action,
            object_type=obj._meta.label_lower if obj is not None else "",
            object_id=str(obj.pk) if obj is not None else "",
            detail=dict(detail or {}),
        )
