"""Admin of plug-ins: what machines write is shown, what people want is changed by services."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from agents.plugins.choices import TONES, Condition
from agents.plugins.models import AgentPlugin, PluginPackage, PluginReport
from agents.plugins.services import Change, check_change, remove_plugin, set_plugin
from dialer_platform.accounts.admin import badge
from dialer_platform.accounts.admin_refusals import ServiceAdmin
from dialer_platform.errors import DomainError

CHANGEABLE = ("enabled", "interval_seconds", "package", "config")


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
        """What is shown here goes with its plug-in or package."""
        return False


class AgentPluginForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for mypy only
    """What a person may change of a plug-in, checked by what the service checks."""

    class Meta:
        model = AgentPlugin
        fields = CHANGEABLE

    def __init__(self, *args: Any, **options: Any) -> None:
        """Offer the packages of this plug-in alone."""
        super().__init__(*args, **options)
        row = self.instance
        known = PluginPackage.objects.filter(tenant_id=row.tenant_id, name=row.name)
        self.fields["package"].queryset = known  # type: ignore[attr-defined]  # a choice of rows

    def to_change(self) -> Change:
        """Return what the form says."""
        said = self.cleaned_data
        is_emptied = "config" in said and said["config"] is None
        return Change(
            enabled=said.get("enabled"),
            interval_seconds=said.get("interval_seconds"),
            config={} if is_emptied else said.get("config"),
            package_id=said["package"].pk if said.get("package") else 0,
        )

    def clean(self) -> dict[str, Any]:
        """Show beside its field what the service would refuse."""
        said = super().clean() or self.cleaned_data
        for name, sentences in check_change(self.instance.name, self.to_change()).items():
            self.add_error(name if name in self.fields else None, sentences)
        return said


@admin.register(AgentPlugin)
class AgentPluginAdmin(ServiceAdmin):
    """What is wanted where; every change goes through the services, so hosts hear of it."""

    form = AgentPluginForm
    list_display = ("name", "agent", "enabled", "interval_seconds", "package", "updated_at")
    list_filter = ("name", "enabled", "tenant")
    search_fields = ("name", "agent__id", "agent__name")
    list_select_related = ("agent", "package", "tenant")
    list_per_page = 50
    show_full_result_count = False
    fields = ("tenant", "agent", "name", *CHANGEABLE, "updated_at", "updated_by")
    readonly_fields = ("tenant", "agent", "name", "updated_at", "updated_by")
    actions = ("enable", "disable", "remove")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """A plug-in is added on the page of its host."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Hosts have to hear of a removal: the action does that."""
        return False

    def save_model(self, request: HttpRequest, obj: AgentPlugin, form: Any, change: bool) -> None:
        """Change by the service."""
        set_plugin(obj.agent, obj.name, by=_name_of(request), change=form.to_change())

    @admin.action(description=_("Activate"))
    def enable(self, request: HttpRequest, queryset: QuerySet[AgentPlugin]) -> None:
        """Activate the chosen plug-ins."""
        self._each(request, queryset, partial(set_plugin, change=Change(enabled=True)))

    @admin.action(description=_("Deactivate: what they were told stays"))
    def disable(self, request: HttpRequest, queryset: QuerySet[AgentPlugin]) -> None:
        """Deactivate the chosen plug-ins."""
        self._each(request, queryset, partial(set_plugin, change=Change(enabled=False)))

    @admin.action(description=_("Remove with what they were told"))
    def remove(self, request: HttpRequest, queryset: QuerySet[AgentPlugin]) -> None:
        """Remove the chosen plug-ins from their hosts."""
        self._each(request, queryset, remove_plugin)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[AgentPlugin], verb: Callable[..., Any]
    ) -> None:
        """Call a service for every chosen plug-in and report what it refused."""
        done = 0
        for row in list(queryset.select_related("agent")):
            try:
                verb(row.agent, row.name, by=_name_of(request))
                done += 1
            except DomainError as error:
                self.message_user(request, f"{row}: {error.detail}", messages.WARNING)
        self.message_user(request, _("%(count)d plug-ins changed.") % {"count": done})


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


def _name_of(request: HttpRequest) -> str:
    """Return the person as the audit names them."""
    return request.user.get_username()
