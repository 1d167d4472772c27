"""The REST client of the command line: one kept connection, errors as exit codes.

Uses the standard library's http.client, because importing anything larger would take
longer than most commands run. A request that is safe to repeat (reading, or with an
idempotency key) is repeated when a kept connection turns out to be closed. Answers are
bounded; proxies of the environment are not used.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit

from agent_client import __version__
from agent_client.commands.client_settings import ClientSettings
from agent_client.errors import AgentError, ExitCode, Rejected, Retryable, Terminal

TIMEOUT_SECONDS = 30.0
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_ATTEMPTS = 3


class ApiError(Rejected):
    """The server's own error: HTTP status, stable code, sentence and sentences per field."""

    def __init__(self, status: int, body: Any) -> None:
        """Read the API's error object; anything else is shown by its status."""
        known = body if isinstance(body, dict) else {}
        super().__init__(str(known.get("detail") or f"the server answered with HTTP {status}"))
        self.status = status
        self.api_code = str(known.get("code") or f"http_{status}")
        fields = known.get("fields")
        self.fields: Mapping[str, Any] = fields if isinstance(fields, dict) else {}

    @property
    def exit_code(self) -> ExitCode:
        """Return 4 for a refused credential, else 5."""
        return ExitCode.REFUSED if self.status == 401 else ExitCode.API


class Reply:
    """One answer: status, headers, body bytes."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> None:
        """Keep the three parts."""
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """Return the body parsed; raises Terminal when it is no JSON."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            raise Terminal(code="server_answer_invalid") from None

    def number(self, name: str) -> int:
        """Return a header that holds a byte count, 0 when it is missing."""
        text = self.headers.get(name, "")
        return int(text) if text.isdigit() else 0


class Client:
    """Talks to `/api/v1/` of one server as one user; use as a context manager."""

    def __init__(self, settings: ClientSettings, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        """Keep address and token; nothing is connected yet."""
        parts = urlsplit(settings.url)
        self._url = settings.url
        self._prefix = parts.path.rstrip("/") + "/api/v1/"
        self._headers = {
            "Authorization": f"Bearer {settings.token}",
            "Accept": "application/json, text/plain",
            "User-Agent": f"dialer-agent-client/{__version__}",
        }
        kind = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        try:
            self._connection = kind(parts.hostname or "", parts.port, timeout=timeout_seconds)
        except ValueError:
            raise Terminal(f"{settings.url} has no valid port", code="config_invalid") from None

    def __enter__(self) -> Client:
        """Return the client itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self._connection.close()

    def get(self, path: str, **query: object) -> Any:
        """Return the JSON answer of a read."""
        return self.fetch("GET", path, query=query).json()

    def post(self, path: str, body: object = None, *, idempotency_key: str = "") -> Any:
        """Return the JSON answer of a change."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self.fetch("POST", path, body={} if body is None else body, headers=headers).json()

    def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Return the answer; raises ApiError for an error of the server, Retryable when it
        cannot be reached. A body of bytes is sent as it is, any other as JSON.
        """
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = self._prefix + path + (f"?{urlencode(given)}" if given else "")
        sent = {**self._headers, **(headers or {})}
        data = None
        if body is not None:
            is_raw = isinstance(body, bytes)
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent["Content-Type"] = "application/octet-stream" if is_raw else "application/json"
        # A chunk that is put twice is skipped: its offset says that it is there.
        repeatable = method in ("GET", "PUT") or "Idempotency-Key" in sent
        reply = self._exchange(method, target, data, sent, attempts=_ATTEMPTS if repeatable else 1)
        if reply.status >= 400:
            raise ApiError(reply.status, _error_body(reply))
        if reply.status >= 300:
            raise Terminal(
                f"{self._url} answers with a redirect (HTTP {reply.status})",
                code="server_answer_invalid",
            )
        return reply

    def _exchange(
        self,
        method: str,
        target: str,
        data: bytes | None,
        headers: Mapping[str, str],
        *,
        attempts: int,
    ) -> Reply:
        """Send and read; a connection that breaks on the way is made anew if that is safe."""
        for attempt in range(1, attempts + 1):
            try:
                self._connect()
                self._connection.request(method, target, body=data, headers=dict(headers))
                return self._read()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                if attempt == attempts:
                    raise _unreachable(self._url, error) from error
        raise AssertionError("unreachable: attempts is at least 1")

    def _connect(self) -> None:
        """Open the connection when it is closed; a refusal is final, repeating cannot help."""
        if self._connection.sock is not None:
            return
        try:
            self._connection.connect()
        except OSError as error:
            self._connection.close()
            raise _unreachable(self._url, error) from error

    def _read(self) -> Reply:
        response = self._connection.getresponse()
        body = response.read(_MAX_ANSWER_BYTES + 1)
        if len(body) > _MAX_ANSWER_BYTES:
            raise Terminal("the answer is too long", code="server_answer_invalid")
        return Reply(response.status, response.headers, body)


def _error_body(reply: Reply) -> Any:
    """Return the error object, None when a proxy answered with a page of its own."""
    try:
        return reply.json()
    except AgentError:
        return None


def _unreachable(url: str, error: Exception) -> Retryable:
    reason = error.strerror if isinstance(error, OSError) else ""
    return Retryable(f"cannot reach {url}: {reason or str(error) or type(error).__name__}")
