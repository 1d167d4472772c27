"""REST paths that belong to no app: the OpenAPI schema."""

from django.urls import path

from dialer_platform.api.schema import SchemaView

urlpatterns = [path("schema/", SchemaView.as_view(), name="api-schema")]
