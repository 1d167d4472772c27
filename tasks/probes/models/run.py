"""Tests asked for by a person, out of turn."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils.translation import gettext_lazy as _


def new_request_id() -> str:
    """Return a random id that a result names its request by."""
    return secrets.token_hex(12)


class ProbeRunRequest(models.Model):
    """Run this once, now, on this host; the answer is kept here and counts nowhere.

    `task` is the ProbeTask as the agent gets it, so that a probe can be tried before it is
    saved: then `probe` is empty.
    """

    id = models.CharField(primary_key=True, max_length=24, default=new_request_id)
    tenant = models.ForeignKey("accounts.Tenant", models.CASCADE, related_name="+")
    probe = models.ForeignKey("probes.Probe", models.CASCADE, null=True, related_name="+")
    agent = models.ForeignKey("agents.Agent", models.CASCADE, related_name="+")
    task = models.JSONField(_("task"))
    created_at = models.DateTimeField(_("asked"), auto_now_add=True, db_index=True)
    expires_at = models.DateTimeField(_("expires"))
    answered_at = models.DateTimeField(_("answered"), null=True, blank=True)
    result = models.JSONField(_("result"), null=True, blank=True)

    class Meta:
        verbose_name = _("test run")
        verbose_name_plural = _("test runs")
        ordering = ("-created_at",)
        indexes = [
            # What an agent is to run now.
            models.Index(
                fields=("agent",), condition=models.Q(answered_at=None), name="run_request_open"
            ),
        ]

    def __str__(self) -> str:
        return str(self.pk)
