"""Admin of hosts and enrolment tokens: what machines write is read-only, actions call services."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ActionForm
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from agents.choices import TONES, AgentStatus
from agents.labels import label_errors
from agents.models import Agent, EnrolmentToken
from agents.services.enrolment import create_enrolment_token
from agents.services.main_agents import (
    MAX_REASON,
    drain_agent,
    pause_agent,
    resume_agent,
    revoke_agent,
    update_agent,
)
from dialer_platform.accounts.admin import badge
from dialer_platform.accounts.admin_refusals import ServiceAdmin
from dialer_platform.errors import DomainError

Verb = Callable[..., Agent]


class ReasonForm(ActionForm):
    """The choice of an action, and why."""

    reason = forms.CharField(label=_("Reason"), required=False, max_length=MAX_REASON)


class AgentAdminForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for mypy only
    """Name and given labels of a host."""

    def clean_given_labels(self) -> dict[str, str]:
        """Return the labels, or say what is wrong with them."""
        labels = self.cleaned_data.get("given_labels") or {}
        errors = label_errors(labels) if isinstance(labels, dict) else {"labels": ["{…}"]}
        if errors:
            raise forms.ValidationError(errors["labels"])
        return dict(labels)


class RevokedFilter(admin.SimpleListFilter):
    """Enrolled or revoked."""

    title = _("credential")
    parameter_name = "credential"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        """Return the two choices."""
        return [("valid", _("valid")), ("revoked", _("revoked"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Agent]) -> QuerySet[Agent]:
        """Keep what was chosen."""
        if self.value() is None:
            return queryset
        return queryset.filter(revoked_at__isnull=self.value() == "valid")


@admin.register(Agent)
class AgentAdmin(ServiceAdmin):
    """Hosts and sub-agents; only the name and the labels are for people to change."""

    list_display = (
        "name",
        "id",
        "type",
        "state",
        "tenant",
        "cpu_cores",
        "slots",
        "version",
        "is_draining",
        "is_paused",
        "last_heartbeat_time",
    )
    list_filter = ("type", "status", "is_draining", "is_paused", RevokedFilter, "tenant")
    search_fields = ("id", "name", "address", "instance_id")
    list_select_related = ("tenant", "main_agent")
    exclude = ("token_public_id", "token_sha256")
    actions = ("drain", "pause", "resume", "revoke")
    action_form = ReasonForm
    ordering = ("-created_time",)
    form = AgentAdminForm
    changeable = ("name", "given_labels")

    @admin.display(description=_("status"), ordering="status")
    def state(self, agent: Agent) -> SafeString:
        """Return the state as a badge with a word and a tone."""
        tone = TONES[AgentStatus(agent.status)]
        return badge(tone, AgentStatus(agent.status).label)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Hosts enrol themselves."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        """Hosts are revoked and stay for the record."""
        return False

    def get_readonly_fields(self, request: HttpRequest, obj: Agent | None = None) -> list[str]:
        """Return everything that machines write."""
        names = [field.name for field in Agent._meta.fields]
        return [name for name in names if name not in (*self.changeable, *self.exclude)]

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        """Change the host as its page does; raises for a revoked one, which stays as it is."""
        words = {"name": obj.name, "labels": obj.given_labels}
        update_agent(obj, by=request.user.get_username(), **words)

    @admin.action(description=_("Drain: offer no new tasks"))
    def drain(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Drain the chosen hosts."""
        self._each(request, queryset, drain_agent, reason=_reason(request))

    @admin.action(description=_("Pause: offer no new tasks, let probes rest"))
    def pause(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Pause the chosen hosts."""
        self._each(request, queryset, pause_agent, reason=_reason(request))

    @admin.action(description=_("Resume: offer tasks again"))
    def resume(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Resume the chosen hosts."""
        self._each(request, queryset, resume_agent, reason=_reason(request))

    @admin.action(description=_("Revoke the credential for good"))
    def revoke(self, request: HttpRequest, queryset: QuerySet[Agent]) -> None:
        """Revoke the chosen hosts."""
        self._each(request, queryset, revoke_agent)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[Agent], verb: Verb, **facts: str
    ) -> None:
        """Call a service for every chosen host and report what it refused."""
        done = 0
        for agent in queryset:
            try:
                verb(agent, by=request.user.get_username(), **facts)
                done += 1
            except DomainError as error:
                self.message_user(request, f"{agent}: {error.detail}", messages.WARNING)
        self.message_user(request, _("%(count)d agents changed.") % {"count": done})


def _reason(request: HttpRequest) -> str:
    """Return why, as it stands beside the chosen action."""
    return request.POST.get("reason", "").strip()[:MAX_REASON]


@admin.register(EnrolmentToken)
class EnrolmentTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # as above
    """Enrolment tokens; the secret is shown once, when the action makes one."""

    list_display = ("__str__", "tenant", "uses", "max_uses", "expires_at", "created_by")
    list_filter = ("tenant",)
    search_fields = ("public_id", "created_by")
    list_select_related = ("tenant",)
    exclude = ("secret_sha256",)
    actions = ("new_token",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Tokens are made by the action, which shows them."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Tokens are not edited."""
        return False

    @admin.action(description=_("New enrolment token for the tenant of the chosen one"))
    def new_token(self, request: HttpRequest, queryset: QuerySet[EnrolmentToken]) -> None:
        """Make one token for each tenant among the chosen ones and show it once."""
        for tenant in {token.tenant for token in queryset.select_related("tenant")}:
            _token, text = create_enrolment_token(actor=request.user.get_username(), tenant=tenant)
            self.message_user(request, f"{tenant}: {text}", messages.SUCCESS)
