"""Tenants and who belongs to them."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.querysets import TenantQuerySet

DEFAULT_TENANT_ID = "default"


class Tenant(models.Model):
    """A closed group of people, hosts and tasks; nothing crosses its border."""

    id = models.SlugField(_("id"), primary_key=True, max_length=64)
    name = models.CharField(_("name"), max_length=200)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = TenantQuerySet.as_manager()

    class Meta:
        verbose_name = _("tenant")
        verbose_name_plural = _("tenants")
        ordering = ("id",)

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """The role of one user in one tenant."""

    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="memberships")
    tenant = models.ForeignKey(Tenant, models.CASCADE, related_name="memberships")
    role = models.CharField(_("role"), max_length=16, choices=Role)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = [
            models.UniqueConstraint(fields=("user", "tenant"), name="one_role_per_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.user} · {self.tenant} · {self.role}"
