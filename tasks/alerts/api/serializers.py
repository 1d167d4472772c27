"""Shape of channels, rules, alerts and deliveries in REST; the services judge what is written."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers

from dialer_platform.accounts.principal import principal_of
from tasks.alerts.choices import ChannelKind, Event
from tasks.alerts.models import Alert, Channel, Delivery, Rule


class ChannelSerializer(serializers.ModelSerializer[Channel]):
    """A channel. `address` and `secret` are written only; `hint` is what may be shown."""

    name = serializers.CharField(max_length=100)
    kind = serializers.ChoiceField(choices=ChannelKind.choices, required=False)
    address = serializers.CharField(write_only=True, max_length=2_000, required=False)
    secret = serializers.CharField(
        write_only=True, max_length=500, required=False, allow_blank=True
    )
    is_enabled = serializers.BooleanField(required=False)

    class Meta:
        model = Channel
        fields = ("id", "name", "kind", "address", "secret", "hint", "is_enabled", "created_at")
        read_only_fields = ("hint", "created_at")


class OwnChannelsField(serializers.PrimaryKeyRelatedField[Channel]):
    """Channels of the caller's tenant: a foreign one looks like a missing one, also in a form."""

    def get_queryset(self) -> QuerySet[Channel]:
        """Return what may be chosen; nothing where nobody asks, as for the schema."""
        request: Any = self.context.get("request")
        principal = getattr(request, "principal", None)
        if principal is None:
            return Channel.objects.none()
        return Channel.objects.visible_to(principal_of(request))


class RuleSerializer(serializers.ModelSerializer[Rule]):
    """A rule. Durations in seconds; channels by id."""

    name = serializers.CharField(max_length=100)
    events = serializers.ListField(
        child=serializers.ChoiceField(choices=Event.choices), required=False
    )
    labels = serializers.DictField(child=serializers.CharField(), required=False)
    channels = OwnChannelsField(many=True, queryset=Channel.objects.none(), required=False)

    class Meta:
        model = Rule
        fields = (
            "id",
            "name",
            "is_enabled",
            "events",
            "name_contains",
            "labels",
            "min_duration_seconds",
            "renotify_seconds",
            "group_seconds",
            "certificate_days",
            "tells_recovery",
            "language",
            "channels",
            "created_at",
        )
        read_only_fields = ("created_at",)


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """One problem as a rule saw it; `closed_at` null while it lasts."""

    class Meta:
        model = Alert
        fields = ("id", "rule", "event", "key", "title", "url", "since", "opened_at", "closed_at")


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """One message of the outbox and how it went."""

    class Meta:
        model = Delivery
        fields = (
            "id",
            "channel",
            "rule",
            "state",
            "notices",
            "omitted",
            "created_at",
            "due_at",
            "ended_at",
            "attempts",
            "error",
        )
