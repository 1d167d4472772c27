"""One problem that a rule has noticed."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.alerts.choices import Event
from tasks.alerts.querysets import AlertQuerySet


class Alert(models.Model):
    """One problem as one rule sees it, from firing to recovery; `key` names the object."""

    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="+")
    rule = models.ForeignKey("alerts.Rule", models.CASCADE, related_name="alerts")
    key = models.CharField(max_length=128)
    event = models.CharField(_("event"), max_length=16, choices=Event)
    title = models.CharField(_("title"), max_length=300)
    url = models.CharField(max_length=200, blank=True)
    since = models.DateTimeField(_("since"))
    opened_at = models.DateTimeField(_("fired"))
    closed_at = models.DateTimeField(_("ended"), null=True, blank=True)
    told_at = models.DateTimeField(_("last told"))
    is_momentary = models.BooleanField(default=False)

    objects = AlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("alert")
        verbose_name_plural = _("alerts")
        ordering = ("-id",)
        constraints = [
            # Two evaluators (a lease changing hands) must not tell the same thing twice.
            models.UniqueConstraint(
                fields=("rule", "key"), condition=models.Q(closed_at=None), name="alert_open_once"
            ),
            models.UniqueConstraint(
                fields=("rule", "key"),
                condition=models.Q(is_momentary=True),
                name="alert_momentary_once",
            ),
        ]
        indexes = [models.Index(fields=("tenant", "-id"), name="alert_list")]

    def __str__(self) -> str:
        return self.title
