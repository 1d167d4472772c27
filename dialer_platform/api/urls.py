"""REST paths that belong to no app: the OpenAPI schema and the error codes."""

from django.urls import path

from dialer_platform.api.error_list import ErrorListView
from dialer_platform.api.schema import SchemaView

urlpatterns = [
    path("schema/", SchemaView.as_view(), name="api-schema"),
    path("errors/", ErrorListView.as_view(), name="api-errors"),
]
