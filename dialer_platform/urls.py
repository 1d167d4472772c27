"""The table of contents: which app answers under which path."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

handler400 = "dialer_platform.api.errors.bad_request"
handler403 = "dialer_platform.api.errors.permission_denied"
handler404 = "dialer_platform.api.errors.page_not_found"
handler500 = "dialer_platform.api.errors.server_error"

api = [
    path("", include("dialer_platform.api.urls")),
    path("", include("dialer_platform.accounts.api.urls")),
    path("", include("tasks.api.urls")),
    path("", include("tasks.probes.api.urls")),
    path("", include("tasks.alerts.api.urls")),
    path("", include("agents.api.urls")),
    path("", include("agents.plugins.api.urls")),
    path("", include("templates_app.api.urls")),
]
urlpatterns = [
    path("", include("dialer_platform.console.urls")),
    path("tasks/", include("tasks.urls")),
    path("agents/", include("agents.urls")),
    path("agent/", include("agents.public_urls")),
    path("probes/", include("tasks.probes.urls")),
    path("alerts/", include("tasks.alerts.urls")),
    path("templates/", include("templates_app.urls")),
    path("accounts/", include("dialer_platform.accounts.urls")),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", include(api)),
]
