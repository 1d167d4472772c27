"""Which consumer answers which socket path, and who may open it.

Browser sockets need the console's own origin and a session; agent sockets authenticate
themselves by token and see neither cookies nor origin rules. An unknown path is refused
without a traceback.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from channels.security.websocket import AllowedHostsOriginValidator
from channels.sessions import CookieMiddleware
from django.utils.module_loading import import_string

from dialer_platform.accounts.sockets import PrincipalSocketMiddleware

REFUSED_CLOSE_CODE = 4404


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """One socket path and the consumer that answers it."""

    pattern: re.Pattern[str]
    consumer: str
    is_for_browsers: bool


ROUTES = (
    SocketRoute(
        re.compile(r"/ws/agent/(?P<agent_id>[A-Za-z0-9_-]{1,64})/?"),
        "agents.consumers.AgentConsumer",
        is_for_browsers=False,
    ),
    SocketRoute(
        re.compile(r"/ws/live/"),
        "dialer_platform.console.consumers.LiveConsumer",
        is_for_browsers=True,
    ),
    SocketRoute(
        re.compile(r"/ws/tasks/(?P<task_id>[0-9]{1,18})/log/"),
        "tasks.consumers.LogConsumer",
        is_for_browsers=True,
    ),
)


async def websocket_application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Hand a socket to its consumer, or refuse it."""
    for route in ROUTES:
        match = route.pattern.fullmatch(scope["path"])
        if match:
            scope["url_route"] = {"args": (), "kwargs": match.groupdict()}
            await _application(route)(scope, receive, send)
            return
    await refuse(receive, send)


async def refuse(receive: Any, send: Any) -> None:
    """Answer the handshake of an unknown path; the server turns it into a 403."""
    await receive()
    await send({"type": "websocket.close", "code": REFUSED_CLOSE_CODE})


@cache
def _application(route: SocketRoute) -> Any:
    """Return the consumer, for browsers behind origin, session and principal."""
    consumer = import_string(route.consumer).as_asgi()
    if not route.is_for_browsers:
        return consumer
    return AllowedHostsOriginValidator(CookieMiddleware(PrincipalSocketMiddleware(consumer)))
