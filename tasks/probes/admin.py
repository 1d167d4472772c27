"""Admin of probes: rows are shown, services write; quotas are edited here."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from dialer_platform.accounts.admin import badge
from tasks.admin import ReadOnlyAdmin
from tasks.probes.choices import TONES, State
from tasks.probes.models import (
    Incident,
    Location,
    MaintenanceWindow,
    Probe,
    ProbeQuota,
    ProbeRunRequest,
)


@admin.register(Probe)
class ProbeAdmin(ReadOnlyAdmin):
    """Probes with their states."""

    list_display = ("id", "name", "shown_state", "kind", "target", "interval", "enabled", "tenant")
    list_display_links = ("id", "name")
    list_filter = ("state", "kind", "enabled", "tenant")
    search_fields = ("=id", "name", "target")
    list_select_related = ("tenant",)
    exclude = ("push_token_sha256",)
    list_per_page = 50
    show_full_result_count = False

    @admin.display(description=_("state"), ordering="state")
    def shown_state(self, probe: Probe) -> SafeString:
        """Return the state as a badge with a word and a tone."""
        state = State(probe.state)
        return badge(TONES[state], state.label)


@admin.register(Location)
class LocationAdmin(ReadOnlyAdmin):
    """What each host sees."""

    list_display = ("probe", "agent", "state", "state_since", "last_at", "last_outcome")
    list_filter = ("state",)
    list_select_related = ("probe", "agent")
    show_full_result_count = False


@admin.register(Incident)
class IncidentAdmin(ReadOnlyAdmin):
    """Outages."""

    list_display = ("probe", "started_at", "ended_at", "reason", "suppressed_by", "tenant")
    list_filter = ("reason", "tenant")
    list_select_related = ("probe", "tenant")
    date_hierarchy = "started_at"
    show_full_result_count = False


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(ReadOnlyAdmin):
    """Planned work."""

    list_display = ("name", "starts_at", "ends_at", "recurrence", "tenant")
    list_filter = ("recurrence", "tenant")
    list_select_related = ("tenant",)


@admin.register(ProbeRunRequest)
class ProbeRunRequestAdmin(ReadOnlyAdmin):
    """Tests of the last hour."""

    list_display = ("id", "probe", "agent", "created_at", "answered_at", "tenant")
    list_select_related = ("probe", "agent", "tenant")


@admin.register(ProbeQuota)
class ProbeQuotaAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    """How many probes a tenant may have."""

    list_display = ("tenant", "max_probes")
    list_select_related = ("tenant",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Keep the tenant of a stored quota."""
        return ("tenant",) if obj else ()
