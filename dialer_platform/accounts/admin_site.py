"""The admin site: for superusers, who see all tenants; with no login page of its own.

A second login page would be a way around the limits of the first one.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy


class ConsoleAdminSite(AdminSite):
    """Django's admin with the platform's name and rules."""

    site_title = gettext_lazy("Dialer Platform")
    site_header = gettext_lazy("Dialer Platform administration")
    index_title = gettext_lazy("All tenants")

    def has_permission(self, request: HttpRequest) -> bool:
        """Tell whether the person owns the installation: tables show every tenant."""
        return bool(request.user.is_active and request.user.is_superuser)

    def login(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Send strangers to the console's login; refuse people who may not enter."""
        if request.user.is_authenticated:
            if self.has_permission(request):
                return redirect_to_index()
            raise PermissionDenied(_("Only the owner of the installation may enter here."))
        return redirect_to_login(reverse("admin:index"))


def redirect_to_index() -> HttpResponse:
    """Return the way to the admin's first page."""
    return HttpResponse(status=302, headers={"Location": reverse("admin:index")})
