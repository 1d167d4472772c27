"""How many probes a tenant may have, and when its probes last changed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ProbeQuota(models.Model):
    """A tenant's own limit; without a row the installation's default holds."""

    tenant = models.OneToOneField(
        "accounts.Tenant", models.CASCADE, primary_key=True, related_name="+"
    )
    max_probes = models.PositiveIntegerField(_("probes at most"))

    class Meta:
        verbose_name = _("quota of probes")
        verbose_name_plural = _("quotas of probes")

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.max_probes}"


class ProbeStamp(models.Model):
    """Counts the changes of a tenant's probes, so that every process notices each of them."""

    tenant = models.OneToOneField(
        "accounts.Tenant", models.CASCADE, primary_key=True, related_name="+"
    )
    number = models.BigIntegerField(default=0)

    class Meta:
        verbose_name = _("stamp of probes")
        verbose_name_plural = _("stamps of probes")

    def __str__(self) -> str:
        return f"{self.tenant_id}: {self.number}"
