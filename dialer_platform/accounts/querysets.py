"""All reads of accounts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import models
from django.utils import timezone

if TYPE_CHECKING:
    from dialer_platform.accounts.models import ApiToken, Tenant, User  # noqa: F401


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """API tokens by owner and validity."""

    def usable(self) -> ApiTokenQuerySet:
        """Return the tokens that are neither revoked nor expired, of active users."""
        now = timezone.now()
        unexpired = models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=now)
        return self.filter(unexpired, revoked_at__isnull=True, user__is_active=True)

    def owned_by(self, user: User, *, tenant: Tenant) -> ApiTokenQuerySet:
        """Return a person's own tokens in one tenant, newest first."""
        return self.filter(user=user, tenant=tenant).order_by("-id")


class TenantQuerySet(models.QuerySet["Tenant"]):
    """Tenants by who may enter them."""

    def open_to(self, user: User) -> TenantQuerySet:
        """Return the tenants a person may act in; a superuser may act in all."""
        if user.is_superuser:
            return self.order_by("id")
        return self.filter(memberships__user=user).order_by("id")
