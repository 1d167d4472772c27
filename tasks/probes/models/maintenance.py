"""Planned work on targets."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.probes.choices import Recurrence


class MaintenanceWindow(models.Model):
    """A time in which probes are run, but neither alarm nor count.

    It covers the named probes, and those that carry one of its tags; with neither it
    covers all of the tenant. A recurring one repeats its first span each day, or on the
    weekdays named (0 is Monday; none means the weekday of the first).
    """

    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+")
    name = models.CharField(_("name"), max_length=200)
    starts_at = models.DateTimeField(_("begins"))
    ends_at = models.DateTimeField(_("ends"))
    recurrence = models.CharField(
        _("repeats"), max_length=8, choices=Recurrence, default=Recurrence.ONCE
    )
    weekdays = models.JSONField(_("weekdays"), default=list, blank=True)
    until = models.DateTimeField(_("repeats until"), null=True, blank=True)
    probes = models.ManyToManyField("probes.Probe", blank=True, related_name="+")
    tags = models.JSONField(_("tags"), default=list, blank=True)
    created_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, related_name="+"
    )

    class Meta:
        verbose_name = _("maintenance window")
        verbose_name_plural = _("maintenance windows")
        ordering = ("-starts_at", "-id")

    def __str__(self) -> str:
        return self.name
