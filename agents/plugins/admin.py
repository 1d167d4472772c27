"""Admin of plug-ins: rows are shown, services write."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from agents.plugins.choices import TONES, Condition
from agents.plugins.models import AgentPlugin, PluginPackage, PluginReport
from dialer_platform.accounts.admin import badge


class ShownAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy only
    """Rows that only services write."""

    show_full_result_count = False
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Rows are made by services."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Rows are shown, never edited."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Hosts have to hear of a removal; the pages and REST do that."""
        return False


@admin.register(AgentPlugin)
class AgentPluginAdmin(ShownAdmin):
    """What is wanted where."""

    list_display = ("name", "agent", "enabled", "interval_seconds", "package", "updated_at")
    list_filter = ("name", "enabled", "tenant")
    search_fields = ("name", "agent__id", "agent__name")
    list_select_related = ("agent", "package", "tenant")
    exclude = ("config",)  # it may hold secrets of the plug-in


@admin.register(PluginPackage)
class PluginPackageAdmin(ShownAdmin):
    """Signed packages."""

    list_display = ("name", "version", "size_bytes", "created_at", "uploaded_by", "tenant")
    list_filter = ("tenant",)
    search_fields = ("name", "sha256")
    list_select_related = ("tenant",)


@admin.register(PluginReport)
class PluginReportAdmin(ShownAdmin):
    """How plug-ins are."""

    list_display = ("name", "agent", "state", "version", "restarts", "reported_at")
    list_filter = ("condition", "name", "tenant")
    list_select_related = ("agent", "tenant")

    @admin.display(description=_("state"), ordering="condition")
    def state(self, report: PluginReport) -> SafeString:
        """Return the condition as a badge."""
        condition = Condition(report.condition)
        return badge(TONES[condition], condition.label)
