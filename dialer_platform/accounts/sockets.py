"""Who opens a browser socket: `scope["principal"]`, judged again while it stays open.

Promises that a socket without a signed-in person is refused before it is accepted, and
that one whose session ended or whose role changed is closed within RECHECK_SECONDS.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from channels.db import database_sync_to_async
from django.conf import settings
from django.contrib.auth import get_user
from django.http import HttpRequest

from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.sessions import is_over, session_principal

UNAUTHENTICATED_CLOSE_CODE = 4401
TOO_MANY_CLOSE_CODE = 4429
MAX_SOCKETS_PER_USER = 50
"""Open pages of one person in this server process; each holds memory and subscriptions."""
RECHECK_SECONDS = 4.0


logger = logging.getLogger(__name__)
_open: Counter[int] = Counter()
"""Sockets by person; changed by the loop's thread only."""


class PrincipalSocketMiddleware:
    """Adds user and principal to the scope of a browser socket, or refuses it."""

    def __init__(self, inner: Any) -> None:
        """Keep the consumer."""
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Open the consumer for a signed-in person only, and watch the session."""
        session_key = scope["cookies"].get(settings.SESSION_COOKIE_NAME)
        principal = await find_principal(session_key) if is_own_origin(scope["headers"]) else None
        if principal is None:
            await receive()
            await send({"type": "websocket.close", "code": UNAUTHENTICATED_CLOSE_CODE})
            return
        user_id = principal.user.pk
        if _open[user_id] >= MAX_SOCKETS_PER_USER:
            await refuse_one_more(scope, receive, send)
            return
        inner_scope = {**scope, "user": principal.user, "principal": principal}
        watch = asyncio.ensure_future(close_when_over(session_key, principal, send))
        _open[user_id] += 1
        try:
            await self.inner(inner_scope, receive, send)
        finally:
            watch.cancel()
            _open[user_id] -= 1
            if not _open[user_id]:
                del _open[user_id]


async def refuse_one_more(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Accept a socket and close it at once: a browser learns the code of an open one only."""
    logger.warning("too many browser sockets", extra={"data": {"path": scope.get("path", "")}})
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": TOO_MANY_CLOSE_CODE})


def is_own_origin(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Tell whether the page that opens a socket came from this server, port included.

    Cookies know no ports: another service of the same host is another origin, but its pages
    would send the session. Behind a proxy that changes the Host header, the trusted origins
    of forms count here too.
    """
    found = dict(headers)
    origin = found.get(b"origin", b"").decode("latin-1").lower()
    host = found.get(b"host", b"").decode("latin-1").lower()
    return origin in settings.CSRF_TRUSTED_ORIGINS or origin.partition("://")[2] == host != ""


async def close_when_over(session_key: str, principal: Principal, send: Any) -> None:
    """Close the socket once its session stands for nobody, or for somebody else."""
    while await find_principal(session_key) == principal:
        await asyncio.sleep(RECHECK_SECONDS)
    # The server answers with a disconnect, on which the consumer ends by itself.
    await send({"type": "websocket.close", "code": UNAUTHENTICATED_CLOSE_CODE})


async def find_principal(session_key: str | None) -> Principal | None:
    """Return whom a session stands for now, or None."""
    if not session_key:
        return None
    found: Principal | None = await database_sync_to_async(_principal_of_key)(session_key)
    return found


def _principal_of_key(session_key: str) -> Principal | None:
    """Read session, user and role from the database, as a page request does."""
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)
    user = get_user(request)
    if not user.is_authenticated or is_over(request.session, time.time()):
        return None
    request.user = user
    return session_principal(request)
