"""The probe: what is tested, how often, from where, and what is believed of it now."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.probes.choices import Policy, State
from tasks.probes.querysets import ProbeQuerySet


class Probe(models.Model):
    """One target tested at an interval by one or more hosts.

    Named agents run it, else the agents that carry all its labels, else all of the tenant.
    `version` grows with every change that agents must know of. `state` changes only through
    services/states.py and is what the locations say together by the policy.
    """

    # What is asked.
    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="probes")
    name = models.CharField(_("name"), max_length=200)
    kind = models.CharField(_("kind"), max_length=32)
    target = models.CharField(_("target"), max_length=2000)
    interval = models.PositiveIntegerField(_("interval (s)"), default=60)
    timeout = models.FloatField(_("time limit (s)"), null=True, blank=True)
    config = models.JSONField(_("configuration"), default=dict, blank=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    agents = models.ManyToManyField(
        "agents.Agent", blank=True, related_name="+", verbose_name=_("agents")
    )
    labels = models.JSONField(_("agent labels"), default=dict, blank=True)
    tags = models.JSONField(_("tags"), default=list, blank=True)
    version = models.PositiveIntegerField(_("version"), default=1)
    created_by = models.ForeignKey(
        "accounts.User", models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_time = models.DateTimeField(_("created"), auto_now_add=True)

    # How its results are judged.
    policy = models.CharField(_("down by"), max_length=8, choices=Policy, default=Policy.MAJORITY)
    fail_threshold = models.PositiveSmallIntegerField(_("failures in a row"), default=2)
    recover_threshold = models.PositiveSmallIntegerField(_("successes in a row"), default=1)
    parents = models.ManyToManyField(
        "self", blank=True, symmetrical=False, related_name="children", verbose_name=_("behind")
    )
    push_token_sha256 = models.CharField(max_length=64, blank=True, db_index=True)
    pushed_at = models.DateTimeField(_("last report"), null=True, blank=True)
    silence_judged_at = models.DateTimeField(null=True, blank=True)

    # What is believed.
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.PENDING)
    state_since = models.DateTimeField(_("since"), null=True, blank=True)
    is_flapping = models.BooleanField(_("flapping"), default=False)

    objects = ProbeQuerySet.as_manager()

    class Meta:
        verbose_name = _("probe")
        verbose_name_plural = _("probes")
        ordering = ("-id",)
        constraints = [
            models.CheckConstraint(
                condition=models.Q(interval__gte=1), name="probe_interval_at_least_1"
            ),
        ]
        indexes = [
            # The list of a tenant, newest first, and the count of its probes that are down.
            models.Index(fields=("tenant", "-id"), name="probe_list"),
            models.Index(fields=("tenant", "state"), name="probe_by_state"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        """Return the probe's page."""
        return f"/probes/{self.pk}/"
