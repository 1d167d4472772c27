"""What every answer shares: its headers, and pages for errors of the domain.

Promises a policy without inline or evaluated script, no framing, and that no answer of
the API is kept by a browser or proxy.
"""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import DisallowedHost, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase

from dialer_platform.errors import DomainError, Forbidden, NotFound

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "connect-src 'self'"
)
API_PREFIX = "/api/"

GetResponse = Callable[[HttpRequest], HttpResponseBase]


class ContentSecurityPolicyMiddleware:
    """Adds the content security policy, and no-store under /api/."""

    def __init__(self, get_response: GetResponse) -> None:
        """Keep the next layer."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer with the headers added where the view did not set its own."""
        response = self.get_response(request)
        response.headers.setdefault("Content-Security-Policy", policy_for(request))
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), microphone=(), geolocation=()"
        )
        if request.path.startswith(API_PREFIX):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def policy_for(request: HttpRequest) -> str:
    """Return the policy; older browsers need the socket's own scheme spelled out."""
    try:
        host = request.get_host()
    except DisallowedHost:
        return POLICY
    return f"{POLICY} {'wss' if request.is_secure() else 'ws'}://{host}"


class DomainErrorMiddleware:
    """Turns an error of the domain that a page did not catch into the page of its status."""

    def __init__(self, get_response: GetResponse) -> None:
        """Keep the next layer."""
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer as the view does."""
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Return the page, or None for errors that are not of the domain."""
        if not isinstance(error, DomainError):
            return None
        if isinstance(error, NotFound):
            raise Http404(error.detail) from error
        if isinstance(error, Forbidden):
            raise PermissionDenied(error.detail) from error
        return HttpResponse(
            error.detail, status=error.status, content_type="text/plain; charset=utf-8"
        )
