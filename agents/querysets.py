"""All reads of agents: adjectives that combine, used by pages, API, admin and services."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Prefetch

from agents.choices import AgentStatus, AgentType

if TYPE_CHECKING:
    from agents.models.agent import Agent  # noqa: F401 - named by the string below
    from dialer_platform.accounts.principal import Principal


class AgentQuerySet(models.QuerySet["Agent"]):
    """Agents by tenant, kind and state."""

    def of_tenant(self, tenant_id: str) -> AgentQuerySet:
        """Return the agents of one tenant."""
        return self.filter(tenant_id=tenant_id)

    def visible_to(self, principal: Principal) -> AgentQuerySet:
        """Return the agents that a person may see: those of the tenant they act in."""
        return self.of_tenant(principal.tenant_id)

    def hosts(self) -> AgentQuerySet:
        """Return main agents."""
        return self.filter(type=AgentType.MAIN)

    def enrolled(self) -> AgentQuerySet:
        """Return agents whose credential was not revoked."""
        return self.filter(revoked_at=None)

    def online(self) -> AgentQuerySet:
        """Return agents that were last seen alive."""
        return self.filter(status=AgentStatus.ONLINE)

    def offline(self) -> AgentQuerySet:
        """Return agents that are silent; revoked ones stay so."""
        return self.filter(status=AgentStatus.OFFLINE, revoked_at=None)

    def running(self) -> AgentQuerySet:
        """Return sub-agents whose task has not ended."""
        return self.filter(type=AgentType.SUB, status=AgentStatus.ONLINE)

    def awaiting_first_use(self, tenant_id: str, instance_id: str) -> AgentQuerySet:
        """Return hosts of an instance that registered but never used their credential."""
        return self.hosts().filter(
            tenant_id=tenant_id, instance_id=instance_id, token_used=False, revoked_at=None
        )

    def revoked_since(self, since: datetime) -> list[tuple[str, datetime]]:
        """Return id and time of the hosts whose credential was revoked lately."""
        revoked = self.hosts().filter(revoked_at__gte=since)
        rows = revoked.only("id", "revoked_at")
        return [(row.id, row.revoked_at) for row in rows if row.revoked_at]

    def with_running_sub_agents(self) -> AgentQuerySet:
        """Return hosts with `running_sub_agents`: two queries for any number of hosts."""
        running = self.model.objects.running().order_by("task_id")
        return self.select_related("release").prefetch_related(
            Prefetch("sub_agents", queryset=running, to_attr="running_sub_agents")
        )
