"""What is told to whom."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.alerts.querysets import RuleQuerySet


class Rule(models.Model):
    """One rule: which events of which objects go to which channels, and how soon.

    A problem fires once it has lasted `min_duration_seconds`; notices of one rule within
    `group_seconds` leave as one message; `renotify_seconds` 0 never reminds.
    """

    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="+")
    name = models.CharField(_("name"), max_length=100)
    is_enabled = models.BooleanField(_("enabled"), default=True)
    events = models.JSONField(_("events"), default=list)
    name_contains = models.CharField(_("name contains"), max_length=200, blank=True)
    labels = models.JSONField(_("labels"), default=dict, blank=True)
    min_duration_seconds = models.PositiveIntegerField(_("after (s)"), default=0)
    renotify_seconds = models.PositiveIntegerField(_("remind every (s)"), default=0)
    group_seconds = models.PositiveIntegerField(_("group within (s)"), default=5)
    certificate_days = models.PositiveIntegerField(_("certificate days left"), default=14)
    tells_recovery = models.BooleanField(_("tell recovery"), default=True)
    language = models.CharField(_("language"), max_length=10, default="en")
    channels = models.ManyToManyField("alerts.Channel", related_name="rules", blank=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    objects = RuleQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert rule")
        verbose_name_plural = _("alert rules")
        ordering = ("name", "id")
        constraints = [
            models.UniqueConstraint(fields=("tenant", "name"), name="rule_name_once"),
        ]

    def __str__(self) -> str:
        return self.name
