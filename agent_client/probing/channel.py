"""HTTP to the server for probes and results: one kept connection, used by one thread.

By the standard library: a richer client costs more memory than all probes. Proxies of the
environment are honoured, but never for a server on this very machine.
"""

from __future__ import annotations

import http.client
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from agent_client.addresses import is_loopback
from agent_client.transport.base import (
    ANSWER_TIMEOUT_SECONDS,
    ConnectionFailed,
    Endpoint,
)

MAX_ANSWER_BYTES = 64 * 1024 * 1024


class HttpAnswer(NamedTuple):
    """Status, headers by lower-case name, and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Channel:
    """Requests to one server, one at a time; not safe for several threads."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Name the server and the credential; nothing is opened before `request`."""
        self.endpoint = endpoint
        self._connection: http.client.HTTPConnection | None = None
        self._prefix = ""

    def request(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] = {}
    ) -> HttpAnswer:
        """Do one request; raises ConnectionFailed."""
        is_kept = self._connection is not None
        try:
            return self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not is_kept:
                raise ConnectionFailed(str(error) or type(error).__name__) from error
        # A kept connection that the server closed meanwhile says nothing about the server.
        try:
            return self._exchange(method, path, body, headers)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ConnectionFailed(str(error) or type(error).__name__) from error

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> HttpAnswer:
        connection = self._connection or self._open()
        self._connection = connection
        sent = {**self.endpoint.headers, **headers}
        connection.request(method, self._prefix + path, body=body, headers=sent)
        answer = connection.getresponse()
        data = answer.read(MAX_ANSWER_BYTES)
        if not answer.isclosed():
            self.close()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return HttpAnswer(answer.status, found, data)

    def _open(self) -> http.client.HTTPConnection:
        server = urlsplit(self.endpoint.server)
        host, is_tls = server.hostname or "", server.scheme == "https"
        port = server.port or (443 if is_tls else 80)
        proxy = self._proxy(server.scheme, host)
        self._prefix = server.path
        if not is_tls:
            if proxy is not None:
                self._prefix = self.endpoint.server
                host, port = proxy
            return http.client.HTTPConnection(host, port, timeout=ANSWER_TIMEOUT_SECONDS)
        context = self.endpoint.tls_context()
        there = proxy or (host, port)
        connection = http.client.HTTPSConnection(
            *there, timeout=ANSWER_TIMEOUT_SECONDS, context=context
        )
        if proxy is not None:
            connection.set_tunnel(host, port)
        return connection

    def _proxy(self, scheme: str, host: str) -> tuple[str, int] | None:
        """Return the address of the proxy to use, None for a direct way."""
        if is_loopback(self.endpoint.server) or urllib.request.proxy_bypass(host):
            return None
        found = urlsplit(urllib.request.getproxies().get(scheme, ""))
        return (found.hostname, found.port or 80) if found.hostname else None
