"""What happened to hosts, told to open pages after the commit; hints only, may be lost."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from django.db import transaction

from dialer_platform.console import live


def agents_changed(tenant_id: str, agent_ids: Iterable[str]) -> None:
    """Tell the pages of the tenant that these hosts changed, once the transaction commits."""
    transaction.on_commit(partial(publish, tenant_id, tuple(agent_ids)))


def presence_changed(tenant_id: str, agent_ids: Iterable[str]) -> None:
    """Tell the pages that hosts came or went: their tasks are shown differently, too."""
    agents_changed(tenant_id, agent_ids)
    transaction.on_commit(partial(live.publish, "tasks", tenant_id=tenant_id))


def publish(tenant_id: str, agent_ids: Iterable[str]) -> None:
    """Tell the pages of the tenant now; for changes that live in memory only."""
    live.publish("agents", tenant_id=tenant_id)
    for agent_id in agent_ids:
        live.publish(f"agent.{agent_id}", tenant_id=tenant_id)
