"""A fake server on loopback, and a way to run a command against it."""

from __future__ import annotations

import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from agent_client.__main__ import main

TOKEN = "dpu_test_secret"


@dataclass
class Answer:
    """What the fake server says; `cut` closes the connection instead."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


@dataclass
class Request:
    """What the fake server was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Script = Callable[[Request], Answer]


class FakeServer:
    """Answers `METHOD path` by the function, the list of answers, or the answer set for it."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.routes: dict[str, Answer | list[Answer] | Script] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.handle(self)

            do_POST = do_PUT = do_GET

            def log_message(self, *_args: object) -> None:
                """Stay quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, route: str, body: Any = None, **more: Any) -> None:
        """Set the answer of `GET tasks/` and the like, below /api/v1/."""
        self.routes[route] = Answer(body, **more)

    def handle(self, http: BaseHTTPRequestHandler) -> None:
        """Record the request and send the answer set for it."""
        parts = urlsplit(http.path)
        data = http.rfile.read(int(http.headers.get("Content-Length") or 0))
        request = Request(
            http.command,
            parts.path.removeprefix("/api/v1/"),
            dict(parse_qsl(parts.query)),
            dict(http.headers),
            _body(http.headers.get("Content-Type", ""), data),
        )
        self.requests.append(request)
        answer = self._pick(request)
        if answer.cut:
            http.close_connection = True
            return
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        http.send_response(answer.status)
        for name, value in {"Content-Length": str(len(body)), **answer.headers}.items():
            http.send_header(name, value)
        http.end_headers()
        http.wfile.write(body)

    def _pick(self, request: Request) -> Answer:
        found = self.routes.get(f"{request.method} {request.path}")
        if isinstance(found, list):
            return found.pop(0) if len(found) > 1 else found[0]
        if callable(found):
            return found(request)
        return found or Answer({"code": "not_found", "detail": "Not found."}, 404)


def _body(kind: str, data: bytes) -> Any:
    """Return what a request says; chunks of files are bytes."""
    if kind == "application/octet-stream":
        return data
    return json.loads(data) if data else None


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[FakeServer]:
    """Return a fake server that the environment names, with a token."""
    fake = FakeServer()
    monkeypatch.setenv("DIALER_URL", fake.url)
    monkeypatch.setenv("DIALER_TOKEN", TOKEN)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("DIALER_TOKEN_FILE", raising=False)
    yield fake
    fake.close()


@dataclass
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capfdbinary, monkeypatch) -> Callable[..., Outcome]:
    """Return a function that runs `python -m agent_client …` in this process."""

    def command(*argv: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(stdin)))
        code = main(argv)
        sys.stderr.flush()
        out, err = capfdbinary.readouterr()
        return Outcome(code, out.decode("utf-8", "surrogateescape"), err.decode())

    return command
