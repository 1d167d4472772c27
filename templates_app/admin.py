"""Admin of templates: everything goes through the services, so it is audited."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from dialer_platform.accounts.admin_refusals import ServiceAdmin
from dialer_platform.accounts.principal import principal_for
from templates_app.models import Template
from templates_app.services.templates import create_template, delete_template, update_template

CHANGEABLE = ("name", "script_type", "script_content", "description")


@admin.register(Template)
class TemplateAdmin(ServiceAdmin):
    """Script templates of all tenants."""

    list_display = ("name", "script_type", "tenant", "description", "created_by", "updated_at")
    list_filter = ("script_type", "tenant")
    search_fields = ("name", "description", "script_content")
    list_select_related = ("tenant", "created_by")
    fields = ("tenant", *CHANGEABLE, "created_by", "created_at", "updated_at")
    readonly_fields = ("created_by", "created_at", "updated_at")

    def get_readonly_fields(self, request: HttpRequest, obj: Template | None = None) -> Any:
        """A template never moves to another tenant."""
        return (*self.readonly_fields, "tenant") if obj else self.readonly_fields

    def save_model(
        self, request: HttpRequest, obj: Template, form: ModelForm[Template], change: bool
    ) -> None:
        """Create or change by the service; raises what it refuses."""
        by = _actor(request)
        fields = {name: getattr(obj, name) for name in CHANGEABLE}
        if change:
            update_template(obj, by=by, **fields)
        else:
            obj.pk = create_template(by=by, tenant=obj.tenant, **fields).pk

    def delete_model(self, request: HttpRequest, obj: Template) -> None:
        """Delete by the service."""
        delete_template(obj, by=_actor(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Template]) -> None:
        """Delete the chosen ones by the service."""
        for template in queryset:
            self.delete_model(request, template)


def _actor(request: HttpRequest) -> Any:
    """Return the person as the audit trail names them."""
    user = request.user
    return principal_for(user) if user.is_authenticated else None
