"""API tokens of people; only a digest of the secret is kept."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts.choices import Scope
from dialer_platform.accounts.querysets import ApiTokenQuerySet


class ApiToken(models.Model):
    """A credential `dpu_…` that acts as its owner in one tenant until it expires."""

    public_id = models.CharField(_("public id"), max_length=16, unique=True)
    secret_sha256 = models.CharField(_("digest"), max_length=64)
    user = models.ForeignKey("accounts.User", models.CASCADE, related_name="api_tokens")
    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="api_tokens")
    name = models.CharField(_("name"), max_length=100, blank=True)
    scope = models.CharField(_("scope"), max_length=16, choices=Scope, default=Scope.ADMIN)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True)

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"dpu_{self.public_id}…"
