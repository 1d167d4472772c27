"""Just enough HTTP for the agents' endpoints: a bounded body, a bearer, JSON out.

Errors are answered with the API's error object. Never looks at cookies: these paths know only
credentials of agents.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

import msgspec
from django.conf import settings

from dialer_platform.accounts.address import behind_proxies
from dialer_platform.errors import DomainError, Invalid, TooLarge, Unauthenticated

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON_TYPE = b"application/json"
RETRY_AFTER_SECONDS = 1


class Disconnected(Exception):
    """The client left before its body was complete."""


class UnsupportedMediaType(DomainError):
    """The body is not of the type that this endpoint reads."""

    code = "unsupported_media_type"
    status = 415


class MethodNotAllowed(DomainError):
    """The path exists, but not for this method."""

    code = "method_not_allowed"
    status = 405


def header(scope: Scope, name: bytes) -> str:
    """Return a request header's value, empty when it is absent."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return ""


def bearer(scope: Scope) -> str:
    """Return the token of the Authorization header; raises Unauthenticated."""
    kind, _, token = header(scope, b"authorization").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Send the agent's credential as a bearer token.")
    return token.strip()


def query_of(scope: Scope) -> dict[str, str]:
    """Return the last value of each query parameter."""
    parsed = parse_qs(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)
    return {name: values[-1] for name, values in parsed.items()}


def client_address(scope: Scope) -> str:
    """Return the address of the host: the peer's, or what a trusted proxy says about it."""
    client = scope.get("client")
    peer = str(client[0]) if client else ""
    if peer not in settings.TRUSTED_PROXIES:
        return peer  # every beat comes this way: nothing is parsed for it
    return behind_proxies(peer, header(scope, b"x-forwarded-for"))


def require_json(scope: Scope) -> None:
    """Raise UnsupportedMediaType when the body is declared as something else than JSON."""
    declared = header(scope, b"content-type").partition(";")[0].strip().lower()
    if declared and declared != JSON_TYPE.decode():
        raise UnsupportedMediaType("Send application/json.")


def require_bytes(scope: Scope) -> None:
    """Raise UnsupportedMediaType when the body is declared as JSON or as a form."""
    declared = header(scope, b"content-type").partition(";")[0].strip().lower()
    if declared and declared not in {"application/octet-stream", "text/plain"}:
        raise UnsupportedMediaType("Send application/octet-stream.")


async def read_body(scope: Scope, receive: Receive, limit_bytes: int) -> bytes:
    """Return the request's body; raises TooLarge beyond the limit, Disconnected when cut."""
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise TooLarge(f"The body may have at most {limit_bytes} bytes.")
    parts: list[bytes] = []
    size = 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise Disconnected
        part = event.get("body", b"")
        size += len(part)
        if size > limit_bytes:
            raise TooLarge(f"The body may have at most {limit_bytes} bytes.")
        parts.append(part)
        if not event.get("more_body"):
            return b"".join(parts)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body, all of whose texts can be stored; raises Invalid."""
    try:
        value = msgspec.json.decode(body)  # refuses half surrogates, which json.loads lets in
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Invalid("The body is not valid JSON.", code="malformed") from error
    if not isinstance(value, dict):
        raise Invalid("The body must be a JSON object.", code="malformed")
    return value


async def send_json(
    send: Send,
    body: bytes,
    *,
    status: int = 200,
    headers: Mapping[bytes, bytes] | None = None,
) -> None:
    """Send an answer with a JSON body, which is empty for 304."""
    head = [
        (b"content-type", JSON_TYPE),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        *(headers or {}).items(),
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})


async def send_error(
    send: Send,
    error: DomainError,
    headers: Mapping[bytes, bytes] | None = None,
    *,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Send the API's error object for a domain error; `more` are facts beside it."""
    extra = dict(headers or {})
    if error.status == 401:
        extra[b"www-authenticate"] = b'Bearer realm="agent"'
    if error.status in {429, 503}:
        extra[b"retry-after"] = str(RETRY_AFTER_SECONDS).encode()
    body = {"code": error.code, "detail": error.detail, "fields": error.fields, **(more or {})}
    await send_json(send, json.dumps(body).encode(), status=error.status, headers=extra)
