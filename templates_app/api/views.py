"""REST of templates: list, detail, create, change, delete."""

from __future__ import annotations

from django.db.models import QuerySet
from rest_framework.serializers import BaseSerializer
from rest_framework.viewsets import ModelViewSet

from dialer_platform.accounts.principal import principal_of
from templates_app.api.serializers import TemplateSerializer
from templates_app.filters import TemplateFilter
from templates_app.models import Template
from templates_app.services.templates import create_template, delete_template, update_template


class TemplateViewSet(ModelViewSet[Template]):
    """Script templates of the tenant; name and content are enough."""

    queryset = Template.objects.none()
    serializer_class = TemplateSerializer
    filterset_class = TemplateFilter
    ordering_fields = ("name", "created_at", "updated_at")
    ordering = ("-created_at", "-id")
    lookup_value_regex = "[0-9]{1,18}"
    actions = {
        "list": "template.view",
        "retrieve": "template.view",
        "create": "template.create",
        "update": "template.change",
        "partial_update": "template.change",
        "destroy": "template.delete",
    }

    def get_queryset(self) -> QuerySet[Template]:
        """Return the templates of the caller's tenant."""
        if getattr(self, "swagger_fake_view", False):
            return Template.objects.none()
        return Template.objects.visible_to(principal_of(self.request)).select_related("created_by")

    def perform_create(self, serializer: BaseSerializer[Template]) -> None:
        """Create by the service."""
        principal = principal_of(self.request)
        serializer.instance = create_template(
            by=principal, tenant=principal.tenant, **serializer.validated_data
        )

    def perform_update(self, serializer: BaseSerializer[Template]) -> None:
        """Change by the service."""
        template = self.get_object()
        serializer.instance = update_template(
            template, by=principal_of(self.request), **serializer.validated_data
        )

    def perform_destroy(self, instance: Template) -> None:
        """Delete by the service."""
        delete_template(instance, by=principal_of(self.request))
