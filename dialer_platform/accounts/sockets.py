"""Who opens a browser socket: `scope["principal"]`, judged again while it stays open.

Promises that a socket without a signed-in person is refused before it is accepted.
"""

from __future__ import annotations

from typing import Any

from channels.auth import get_user
from channels.db import database_sync_to_async

from dialer_platform.accounts.models import User
from dialer_platform.accounts.principal import Principal, principal_for
from dialer_platform.accounts.sessions import SESSION_TENANT_KEY

UNAUTHENTICATED_CLOSE_CODE = 4401


class PrincipalSocketMiddleware:
    """Adds user and principal to the scope of a browser socket, or closes it."""

    def __init__(self, inner: Any) -> None:
        """Keep the consumer."""
        self.inner = inner

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Open the consumer for a signed-in person only."""
        principal = await scope_principal(scope)
        if principal is None:
            await receive()
            await send({"type": "websocket.close", "code": UNAUTHENTICATED_CLOSE_CODE})
            return
        scope = {**scope, "user": principal.user, "principal": principal}
        await self.inner(scope, receive, send)


async def scope_principal(scope: dict[str, Any]) -> Principal | None:
    """Return the principal of the scope's session, or None."""
    user = await get_user(scope)
    if not isinstance(user, User):
        return None
    chosen = await database_sync_to_async(scope["session"].get)(SESSION_TENANT_KEY)
    found: Principal | None = await database_sync_to_async(_principal)(user, chosen)
    return found


def _principal(user: User, chosen: str | None) -> Principal | None:
    """Return the principal in the chosen tenant, else in the first one."""
    return (principal_for(user, tenant_id=chosen) if chosen else None) or principal_for(user)
