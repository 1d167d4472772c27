"""Outages as intervals."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Incident(models.Model):
    """From the moment a probe went down until it was seen up again, or was paused.

    `suppressed_by` names what kept it quiet: maintenance, or a probe that this one is
    behind. At most one is open per probe.
    """

    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+")
    probe = models.ForeignKey("probes.Probe", models.CASCADE, related_name="incidents")
    started_at = models.DateTimeField(_("began"))
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    reason = models.CharField(_("reason"), max_length=64, blank=True)
    error = models.CharField(_("error"), max_length=1000, blank=True)
    locations = models.JSONField(_("locations"), default=list, blank=True)
    suppressed_by = models.CharField(_("kept quiet by"), max_length=64, blank=True)
    ended_by = models.CharField(_("ended by"), max_length=32, blank=True)

    class Meta:
        verbose_name = _("incident")
        verbose_name_plural = _("incidents")
        ordering = ("-started_at", "-id")
        constraints = [
            models.UniqueConstraint(
                fields=("probe",),
                condition=models.Q(ended_at=None),
                name="one_open_incident_per_probe",
            ),
        ]
        indexes = [models.Index(fields=("tenant", "-started_at"), name="incident_list")]

    def __str__(self) -> str:
        return f"{self.probe_id} {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def duration_seconds(self) -> float | None:
        """Return how long it lasted, None while it is open."""
        return (self.ended_at - self.started_at).total_seconds() if self.ended_at else None
