"""The append-only record of who did what to which object."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class AuditEvent(models.Model):
    """One act; written by services in the act's own transaction, never changed or deleted."""

    at = models.DateTimeField(_("time"), auto_now_add=True)
    tenant = models.ForeignKey(
        "accounts.Tenant", models.PROTECT, null=True, blank=True, related_name="+"
    )
    actor = models.CharField(_("actor"), max_length=200)
    address = models.CharField(_("address"), max_length=64, blank=True)
    action = models.CharField(_("action"), max_length=64)
    object_type = models.CharField(_("object type"), max_length=64, blank=True)
    object_id = models.CharField(_("object"), max_length=128, blank=True)
    detail = models.JSONField(_("detail"), default=dict, blank=True)

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering = ("-id",)
        indexes = [
            # The audit page of one object and of one tenant, newest first.
            models.Index(fields=("object_type", "object_id", "-id"), name="audit_by_object"),
            models.Index(fields=("tenant", "-id"), name="audit_by_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.actor} {self.action} {self.object_type} {self.object_id}"
