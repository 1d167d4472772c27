"""The server's entry point: agent endpoints first, then pages, REST and sockets.

Agents beat many times a second, so their few paths are answered by raw handlers before
Django (0.34 ms against 2.8 ms a beat). Background services start with the first scope.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "dialer_platform.settings")
pages = get_asgi_application()  # Sets Django up: models can be imported only below this line.

from dialer_platform import runtime  # noqa: E402
from dialer_platform.routing import websocket_application  # noqa: E402

endpoints = import_module("agents.endpoints") if find_spec("agents.endpoints") else None


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Hand one scope to whoever answers it."""
    runtime.ensure_started()
    if scope["type"] == "websocket":
        await websocket_application(scope, receive, send)
        return
    if scope["type"] != "http":
        raise ValueError(f"this server does not speak {scope['type']}")
    handler = endpoints.route(scope) if endpoints else None
    await (handler or pages)(scope, receive, send)
