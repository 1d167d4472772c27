"""How the REST API learns who is calling: a bearer token, or the console's session.

Promises that a request with an Authorization header is judged by that header alone
(cookies are ignored), that a session needs its CSRF token, and that a revoked token or a
changed role is noticed within FRESH_SECONDS. Never keeps a secret: the cache is keyed by
the SHA-256 of what was presented.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict

from django.utils.translation import gettext as _
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from dialer_platform.accounts import secrets
from dialer_platform.accounts.address import client_address
from dialer_platform.accounts.models import ApiToken, User
from dialer_platform.accounts.principal import Principal, principal_for
from dialer_platform.accounts.services.tokens import note_use
from dialer_platform.accounts.sessions import session_principal

FRESH_SECONDS = 5.0
CACHE_LIMIT = 4096
BEARER = "bearer"


class PrincipalCache:
    """Remembers for a few seconds whom a token stands for; drops the oldest when full."""

    def __init__(self, *, limit: int = CACHE_LIMIT, fresh_seconds: float = FRESH_SECONDS) -> None:
        """Start empty."""
        self._limit = limit
        self._fresh_seconds = fresh_seconds
        self._guard = threading.Lock()
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()

    def get(self, key: str) -> Principal | None:
        """Return the principal if it was stored within the last few seconds."""
        with self._guard:
            until, principal = self._known.get(key, (0.0, None))
        return principal if time.monotonic() < until else None

    def put(self, key: str, principal: Principal) -> None:
        """Remember the principal, dropping the oldest entry when there are too many."""
        with self._guard:
            self._known[key] = (time.monotonic() + self._fresh_seconds, principal)
            self._known.move_to_end(key)
            if len(self._known) > self._limit:
                self._known.popitem(last=False)

    def clear(self) -> None:
        """Forget everybody, so that the next request reads the database."""
        with self._guard:
            self._known.clear()


cache = PrincipalCache()


def principal_by_token(text: str) -> Principal | None:
    """Return whom a presented user token stands for, or None if it is not valid now."""
    parsed = secrets.parse(text, prefix=secrets.USER_PREFIX)
    if parsed is None:
        return None
    key = hashlib.sha256(text.encode("ascii")).hexdigest()
    known = cache.get(key)
    if known is not None:
        return known
    token = (
        ApiToken.objects.usable()
        .filter(public_id=parsed.public_id)
        .select_related("user", "tenant")
        .first()
    )
    # A missing row costs the same comparison as a wrong secret.
    if not secrets.matches(parsed, token.secret_sha256 if token else "") or token is None:
        return None
    principal = principal_for(token.user, tenant_id=token.tenant_id, token_scope=token.scope)
    if principal is not None:
        note_use(token)
        cache.put(key, principal)
    return principal


class ApiTokenAuthentication(BaseAuthentication):
    """Reads `Authorization: Bearer dpu_…`."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """Return user and principal, None without the header; raises AuthenticationFailed."""
        header = request.headers.get("Authorization", "")
        if not header:
            return None
        scheme, _blank, credential = header.partition(" ")
        if scheme.lower() != BEARER:
            raise AuthenticationFailed(_("The Authorization header must be 'Bearer dpu_…'."))
        principal = principal_by_token(credential.strip())
        if principal is None:
            raise AuthenticationFailed(_("The token is unknown, mistyped, expired or revoked."))
        _attach(request, principal)
        return principal.user, principal

    def authenticate_header(self, request: Request) -> str:
        """Return the challenge of a 401, which also makes it a 401 instead of a 403."""
        return 'Bearer realm="api"'


class ConsoleSessionAuthentication(SessionAuthentication):
    """Accepts the console's session, with its CSRF token for everything that changes."""

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        """Return user and principal of the session, or None when nobody is signed in."""
        found = super().authenticate(request)
        if found is None:
            return None
        principal = session_principal(request._request)
        if principal is None:
            raise AuthenticationFailed(_("You belong to no tenant; ask an administrator."))
        _attach(request, principal)
        return principal.user, principal


def _attach(request: Request, principal: Principal) -> None:
    """Put the principal where views and services look for it."""
    address = client_address(request._request)
    request._request.principal = (  # type: ignore[attr-defined]
        Principal(principal.user, principal.tenant, principal.role, principal.token_scope, address)
    )
