"""The table of contents: which app answers under which path."""

from __future__ import annotations

from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

handler400 = "dialer_platform.api.errors.bad_request"
handler403 = "dialer_platform.api.errors.permission_denied"
handler404 = "dialer_platform.api.errors.page_not_found"
handler500 = "dialer_platform.api.errors.server_error"


def _app(prefix: str, module: str) -> list[URLPattern | URLResolver]:
    """Return the routes of an app's URL module."""
    return [path(prefix, include(module))] if find_spec(module) else []


urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("dialer_platform.accounts.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    *_app("", "dialer_platform.console.urls"),
    *_app("tasks/", "tasks.urls"),
    *_app("agents/", "agents.urls"),
    *_app("templates/", "templates_app.urls"),
    path("api/v1/", include("dialer_platform.api.urls")),
    path("api/v1/", include("dialer_platform.accounts.api.urls")),
    *_app("api/v1/", "tasks.api.urls"),
    *_app("api/v1/", "agents.api.urls"),
    *_app("api/v1/", "templates_app.api.urls"),
]
