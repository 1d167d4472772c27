"""Tables of the platform itself: who does the periodic work, and when it was done."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Lease(models.Model):
    """One row per role that a single process may hold; held while it is renewed in time."""

    name = models.CharField(_("role"), max_length=64, primary_key=True)
    holder = models.CharField(_("holder"), max_length=200)
    renewed_at = models.DateTimeField(_("renewed"))

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return f"{self.name} · {self.holder}"


class JobRun(models.Model):
    """The last run of a periodic job."""

    name = models.CharField(_("job"), max_length=64, primary_key=True)
    interval_seconds = models.FloatField(_("interval"))
    finished_at = models.DateTimeField(_("finished"))
    duration_seconds = models.FloatField(_("duration"))
    runs = models.BigIntegerField(_("runs"), default=0)
    failures = models.BigIntegerField(_("failures"), default=0)
    error = models.CharField(_("last error"), max_length=500, blank=True)

    class Meta:
        verbose_name = _("periodic job")
        verbose_name_plural = _("periodic jobs")
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
