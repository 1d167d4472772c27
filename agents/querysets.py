"""All reads of agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from agents.models import Agent


class AgentQuerySet(models.QuerySet["Agent"]):
    """Agents by tenant, kind and state."""

    def of_tenant(self, tenant_id: str) -> AgentQuerySet:
        """Return the agents of one tenant."""
        return self.filter(tenant_id=tenant_id)
