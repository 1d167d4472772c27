"""REST of packages: list, upload, delete. Installing them is each agent's own decision."""

from __future__ import annotations

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from agent_client.protocol.plugin_package import MAX_PACKAGE_BYTES
from agents.plugins.api.serializers import PluginPackageSerializer, PluginUploadSerializer
from agents.plugins.models import PluginPackage
from agents.plugins.packages import delete_package, upload_package
from dialer_platform.accounts.principal import principal_of
from dialer_platform.errors import TooLarge


@extend_schema_view(
    list=extend_schema(summary="Packages of plug-ins"),
    retrieve=extend_schema(summary="A package of a plug-in"),
)
class PackageViewSet(
    mixins.ListModelMixin, mixins.RetrieveModelMixin, GenericViewSet[PluginPackage]
):
    """Packages of the tenant."""

    queryset = PluginPackage.objects.none()
    serializer_class = PluginPackageSerializer
    ordering_fields = ("name", "created_at", "size_bytes")
    ordering = ("name", "-created_at", "-id")
    lookup_value_regex = "[0-9]{1,18}"
    actions = {
        "list": "plugin.view",
        "retrieve": "plugin.view",
        "create": "plugin.upload",
        "destroy": "plugin.upload",
    }

    def get_queryset(self) -> QuerySet[PluginPackage]:
        """Return the packages of the caller's tenant."""
        if getattr(self, "swagger_fake_view", False):
            return PluginPackage.objects.none()
        return PluginPackage.objects.filter(tenant_id=principal_of(self.request).tenant_id)

    def get_parsers(self) -> list[MultiPartParser]:  # type: ignore[override]  # one of them
        """Take forms with a file only."""
        return [MultiPartParser()]

    @extend_schema(
        summary="Upload a signed package",
        request={"multipart/form-data": PluginUploadSerializer},
        responses={201: PluginPackageSerializer},
    )
    def create(self, request: Request) -> Response:
        """Keep a package with its signature."""
        body = PluginUploadSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        file = body.validated_data["file"]
        if file.size > MAX_PACKAGE_BYTES:
            raise TooLarge(
                _("A package may have at most %(limit)d MiB.")
                % {"limit": MAX_PACKAGE_BYTES // 1024**2}
            )
        principal = principal_of(request)
        package = upload_package(
            tenant_id=principal.tenant_id,
            data=file.read(),
            signature=body.validated_data["signature"],
            by=principal,
        )
        return Response(PluginPackageSerializer(package).data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Delete a package that no host is to run")
    def destroy(self, request: Request, pk: str) -> Response:
        """Delete a package and its file."""
        delete_package(self.get_object(), by=principal_of(request))
        return Response(status=status.HTTP_204_NO_CONTENT)
