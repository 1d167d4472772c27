"""Tokens that let a new host register; exchanged once for a credential of its own."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class EnrolmentToken(models.Model):
    """A credential `dpe_…`: by default for one host within one hour."""

    public_id = models.CharField(_("public id"), max_length=16, unique=True)
    secret_sha256 = models.CharField(_("digest"), max_length=64)
    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="enrolment_tokens")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    created_by = models.CharField(_("created by"), max_length=200, blank=True)
    expires_at = models.DateTimeField(_("expires"))
    max_uses = models.PositiveIntegerField(_("uses allowed"), default=1)
    uses = models.PositiveIntegerField(_("uses"), default=0)
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("enrolment token")
        verbose_name_plural = _("enrolment tokens")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"dpe_{self.public_id}…"
