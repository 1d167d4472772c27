"""All reads of channels, rules, alerts and deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from django.db import models

from tasks.alerts.choices import DeliveryState

if TYPE_CHECKING:
    from dialer_platform.accounts.principal import Principal
    from tasks.alerts.models import Alert, Channel, Delivery, Rule  # noqa: F401

M = TypeVar("M", bound=models.Model)


class TenantQuerySet(models.QuerySet[M]):
    """Rows that belong to a tenant."""

    def of_tenant(self, tenant_id: str) -> TenantQuerySet[M]:
        """Return the rows of one tenant."""
        return self.filter(tenant_id=tenant_id)

    def visible_to(self, principal: Principal) -> TenantQuerySet[M]:
        """Return the rows of the tenant the person acts in."""
        return self.of_tenant(principal.tenant_id)


class ChannelQuerySet(TenantQuerySet["Channel"]):
    """Channels by tenant."""


class RuleQuerySet(TenantQuerySet["Rule"]):
    """Rules by tenant and use."""

    def watching(self) -> RuleQuerySet:
        """Return the rules that are on and tell somebody."""
        return self.filter(is_enabled=True, channels__is_enabled=True).distinct()


class AlertQuerySet(TenantQuerySet["Alert"]):
    """Alerts by tenant."""


class DeliveryQuerySet(TenantQuerySet["Delivery"]):
    """Deliveries by state."""

    def waiting(self) -> DeliveryQuerySet:
        """Return the deliveries that are still to be sent."""
        return self.filter(state=DeliveryState.PENDING)

    def due(self, now: datetime) -> DeliveryQuerySet:
        """Return what is to be sent now, the longest due first."""
        return self.waiting().filter(due_at__lte=now).order_by("due_at", "id")
