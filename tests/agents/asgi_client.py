"""A host's side of the raw endpoints, without a server in between."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from channels.testing import HttpCommunicator

from agents import endpoints


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer like the server does, 404 for paths that Django would get."""
    handler = endpoints.route(scope)
    if handler is None:
        await send({"type": "http.response.start", "status": 404, "headers": []})
        await send({"type": "http.response.body", "body": b""})
        return
    await handler(scope, receive, send)


async def call(
    method: str,
    path: str,
    body: Any = b"",
    *,
    token: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Send one request; a body that is not bytes goes as JSON."""
    head = dict(headers or {})
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        head.setdefault("content-type", "application/json")
    if token:
        head["authorization"] = f"Bearer {token}"
    raw = [(name.encode(), value.encode()) for name, value in head.items()]
    response = await HttpCommunicator(application, method, path, body, raw).get_response(10)
    names = {name.decode().lower(): value.decode() for name, value in response["headers"]}
    return Answer(response["status"], names, response["body"])
