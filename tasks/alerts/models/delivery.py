"""The outbox: what is to be sent, and the visible log of what was."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from tasks.alerts.choices import DeliveryState
from tasks.alerts.querysets import DeliveryQuerySet


class Delivery(models.Model):
    """One message to one channel: notices of one rule, sent together.

    Written in the transaction that notices the problem, sent later by the delivery thread,
    at least once; receivers recognise a repeat by its id.
    """

    tenant = models.ForeignKey("accounts.Tenant", models.PROTECT, related_name="+")
    channel = models.ForeignKey("alerts.Channel", models.CASCADE, related_name="deliveries")
    rule = models.ForeignKey("alerts.Rule", models.SET_NULL, null=True, blank=True)
    state = models.CharField(
        _("state"), max_length=16, choices=DeliveryState, default=DeliveryState.PENDING
    )
    notices = models.JSONField(_("notices"), default=list)
    omitted = models.PositiveIntegerField(_("notices left out"), default=0)
    language = models.CharField(max_length=10, default="en")
    created_at = models.DateTimeField(_("created"))
    due_at = models.DateTimeField(_("due"))
    claimed_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(_("ended"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    error = models.CharField(_("error"), max_length=500, blank=True)

    objects = DeliveryQuerySet.as_manager()

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ("-id",)
        indexes = [
            # The delivery thread asks once a second; almost always there is nothing.
            models.Index(
                fields=("due_at",),
                condition=models.Q(state=DeliveryState.PENDING),
                name="delivery_due",
            ),
            models.Index(fields=("tenant", "-id"), name="delivery_list"),
        ]

    def __str__(self) -> str:
        return f"{self.channel_id} {self.state}"

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be tried."""
        return self.state not in (DeliveryState.PENDING, DeliveryState.SENDING)
