"""Closes every page to strangers and says who is acting.

Owns the written list of open routes and `request.principal` of session requests. Promises
that a new route is closed unless somebody adds it to the list. REST views are let through
because their own default permission closes them, by token or session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import middleware as auth_middleware
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import resolve_url
from django.utils.translation import gettext as _
from rest_framework.views import APIView

from dialer_platform.accounts.sessions import end_or_prolong, session_principal

# Open to strangers, by route name. /metrics judges the caller itself (loopback or token);
# the address that a target reports to carries its credential in the path.
OPEN_ROUTES = frozenset(
    {
        *("login", "healthz", "readyz", "metrics", "set_language", "probe-push", "favicon"),
        # A new host has no credential yet; these hold the agent's code and no secret.
        *("agent-install-py", "agent-install-sh", "agent-release", "agent-wheel", "agent-pip"),
    }
)

GetResponse = Callable[[HttpRequest], HttpResponseBase]


def is_open(request: HttpRequest, view: Callable[..., Any]) -> bool:
    """Tell whether strangers may call the view that the request resolved to."""
    view_class = getattr(view, "cls", None)
    if isinstance(view_class, type) and issubclass(view_class, APIView):
        return True  # RolePermission answers 401 itself, as JSON.
    match = request.resolver_match
    return (
        match is not None
        and match.view_name.rpartition(":")[2] in OPEN_ROUTES
        and match.app_name != "admin"
    )


class SessionLimitsMiddleware:
    """Ends sessions that are too old or were left alone, before anybody asks who it is."""

    def __init__(self, get_response: GetResponse) -> None:
        """Keep the next layer."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Judge the session of a browser; callers without its cookie cost nothing."""
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            end_or_prolong(request)
        return self.get_response(request)


class LoginRequiredMiddleware(auth_middleware.LoginRequiredMiddleware):
    """Sends strangers to the login page; fragments get 401 and a full-page redirect."""

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., Any],
        view_args: Any,
        view_kwargs: Any,
    ) -> HttpResponseBase | None:
        """Let the request through only for a signed-in person or an open route."""
        if is_open(request, view_func) or request.user.is_authenticated:
            return None
        if request.headers.get("HX-Request") == "true":
            login = resolve_url(settings.LOGIN_URL)
            return HttpResponse(status=401, headers={"HX-Redirect": login})
        return self.handle_no_permission(request, view_func)

    def get_login_url(self, view_func: Callable[..., Any]) -> str:
        """Return the one login page, also for views that name another."""
        return settings.LOGIN_URL


class PrincipalMiddleware:
    """Sets `request.principal` for pages; REST authentication sets its own."""

    def __init__(self, get_response: GetResponse) -> None:
        """Keep the next layer."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Start with nobody."""
        request.principal = None  # type: ignore[attr-defined]
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., Any],
        view_args: Any,
        view_kwargs: Any,
    ) -> None:
        """Find the principal of a signed-in person; raises PermissionDenied without a tenant."""
        if hasattr(view_func, "cls") or not request.user.is_authenticated:
            return
        principal = session_principal(request)
        if principal is None and not is_open(request, view_func):
            raise PermissionDenied(_("You belong to no tenant; ask an administrator."))
        request.principal = principal  # type: ignore[attr-defined]
