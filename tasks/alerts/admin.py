"""Admin of the alerts: everything to read; changes are made by page and REST, which audit them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from tasks.alerts.models import Alert, Channel, Delivery, Rule


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    """Shows rows of all tenants; sealed columns are not editable and so never shown."""

    list_filter = ("tenant",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nothing is made here."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is changed here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nothing is deleted here."""
        return False


@admin.register(Channel)
class ChannelAdmin(ReadOnlyAdmin):
    """Where notices go, without the addresses."""

    list_display = ("name", "kind", "hint", "is_enabled", "tenant")


@admin.register(Rule)
class RuleAdmin(ReadOnlyAdmin):
    """What is told to whom."""

    list_display = ("name", "events", "is_enabled", "min_duration_seconds", "tenant")


@admin.register(Alert)
class AlertAdmin(ReadOnlyAdmin):
    """Problems that rules noticed."""

    list_display = ("title", "event", "rule", "opened_at", "closed_at", "tenant")
    list_filter = ("event", "tenant")  # type: ignore[assignment]
    list_select_related = ("rule", "tenant")


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    """The outbox and its log."""

    list_display = ("id", "channel", "rule", "state", "attempts", "error", "created_at", "tenant")
    list_filter = ("state", "tenant")  # type: ignore[assignment]
    list_select_related = ("channel", "rule", "tenant")
