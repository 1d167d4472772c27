"""What one host sees of one target."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.probes.choices import Outcome, State


class Location(models.Model):
    """The state of a probe as one agent sees it; without an agent the target itself reports.

    Written by the follower of results once per pass, however many results came. `history`
    holds one character for each of the last runs (u, d, x), newest last: flapping is
    judged by it. The `last_*` columns show the newest executed run.
    """

    probe = models.ForeignKey("probes.Probe", models.CASCADE, related_name="locations")
    agent = models.ForeignKey("agents.Agent", models.CASCADE, null=True, related_name="+")
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.PENDING)
    state_since = models.DateTimeField(_("since"), null=True, blank=True)
    failures = models.PositiveIntegerField(_("failures in a row"), default=0)
    successes = models.PositiveIntegerField(_("successes in a row"), default=0)
    history = models.CharField(max_length=20, blank=True)
    seen_at = models.DateTimeField(_("last judged run"), null=True, blank=True)
    last_outcome = models.CharField(_("last outcome"), max_length=8, choices=Outcome, blank=True)
    last_reason = models.CharField(_("reason"), max_length=64, blank=True)
    last_error = models.CharField(_("error"), max_length=1000, blank=True)
    last_at = models.DateTimeField(_("last run"), null=True, blank=True)
    last_duration_seconds = models.FloatField(_("last duration (s)"), null=True, blank=True)
    last_phases = models.JSONField(_("phases"), default=dict, blank=True)
    last_details = models.JSONField(_("details"), default=dict, blank=True)
    last_version = models.PositiveIntegerField(_("version"), default=0)
    executed = models.BigIntegerField(_("executed runs"), default=0)
    missed = models.BigIntegerField(_("missed runs"), default=0)

    class Meta:
        verbose_name = _("location")
        verbose_name_plural = _("locations")
        ordering = ("probe", "id")
        constraints = [
            models.UniqueConstraint(fields=("probe", "agent"), name="one_location_per_agent"),
            models.UniqueConstraint(
                fields=("probe",), condition=models.Q(agent=None), name="one_location_of_reports"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.probe_id} {self.agent_id or '-'} {self.state}"
