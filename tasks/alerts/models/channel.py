"""Where notices go."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.alerts.choices import ChannelKind
from tasks.alerts.querysets import ChannelQuerySet


class Channel(models.Model):
    """One address of one service. The address and its signing secret are write-only.

    Both are kept sealed (`tasks.alerts.sealing`); what is shown is `hint`, the part of the
    address that gives nothing away.
    """

    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=100)
    kind = models.CharField(_("kind"), max_length=16, choices=ChannelKind)
    sealed_address = models.TextField(editable=False)
    sealed_secret = models.TextField(editable=False, blank=True)
    hint = models.CharField(_("address"), max_length=200)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = ChannelQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert channel")
        verbose_name_plural = _("alert channels")
        ordering = ("name", "id")
        constraints = [
            models.UniqueConstraint(fields=("tenant", "name"), name="channel_name_once"),
        ]

    def __str__(self) -> str:
        return self.name
