"""REST of what surrounds probes: incidents, maintenance, reports of targets, summaries."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import mixins, status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from dialer_platform.accounts.principal import principal_of
from tasks.probes.api.parameters import body
from tasks.probes.api.serializers import (
    IncidentSerializer,
    MaintenanceRequestSerializer,
    MaintenanceSerializer,
)
from tasks.probes.filters import IncidentFilter
from tasks.probes.models import Incident, MaintenanceWindow
from tasks.probes.services.maintenance import create_window, delete_window, update_window


class IncidentViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[Incident]
):
    """Outages, newest first."""

    queryset = Incident.objects.none()
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    lookup_value_regex = "[0-9]{1,18}"
    ordering_fields = ["id", "started_at", "ended_at"]
    ordering = ["-started_at", "-id"]
    actions = {"list": "probe.view", "retrieve": "probe.view"}

    def get_queryset(self) -> Any:
        """Return the tenant's own."""
        tenant_id = principal_of(self.request).tenant_id
        return Incident.objects.filter(tenant_id=tenant_id).select_related("probe")


class MaintenanceViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[MaintenanceWindow]
):
    """Planned work: list, show, make, change, delete."""

    queryset = MaintenanceWindow.objects.none()
    serializer_class = MaintenanceSerializer
    lookup_value_regex = "[0-9]{1,18}"
    ordering_fields = ["id", "name", "starts_at", "ends_at"]
    ordering = ["-starts_at", "-id"]
    actions = {
        "list": "probe.view",
        "retrieve": "probe.view",
        "create": "probe.change",
        "partial_update": "probe.change",
        "destroy": "probe.change",
    }

    def get_queryset(self) -> Any:
        """Return the tenant's own."""
        tenant_id = principal_of(self.request).tenant_id
        return MaintenanceWindow.objects.filter(tenant_id=tenant_id).prefetch_related("probes")

    @extend_schema(request=MaintenanceRequestSerializer, responses={201: MaintenanceSerializer})
    def create(self, request: Request) -> Response:
        """Plan work."""
        made = create_window(principal=principal_of(request), fields=body(request.data))
        return Response(MaintenanceSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=MaintenanceRequestSerializer, responses=MaintenanceSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        """Change what the body names."""
        changed = update_window(
            self.get_object(), by=principal_of(request), fields=body(request.data)
        )
        return Response(MaintenanceSerializer(changed).data)

    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a window."""
        delete_window(self.get_object(), by=principal_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
