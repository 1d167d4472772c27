"""A server's side of one transfer in memory, which makes trouble on demand."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from agent_client.protocol.transfers import CHUNK_DIGEST_HEADER

TOKEN = "dpt_test"


class FakeTransfers:
    """Keeps one content; `cuts` is how many of the next answers break off in the middle."""

    def __init__(self, content: bytes = b"") -> None:
        self.content = bytearray(content)
        self.ended: dict[str, object] | None = None
        self.cuts = 0
        self.busy = 0
        self.broken = 0
        self.forgets: list[int] = []
        """Lengths that it falls back to, one at each chunk, as after a power cut."""
        self.sent_bytes = 0
        self.got_bytes = 0
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def chunk(self, offset: int, limit: int) -> tuple[bytes, str]:
        """Return bytes with their digest, which does not fit while `broken` counts down."""
        data = bytes(self.content[offset : offset + limit])
        self.sent_bytes += len(data)
        digest = hashlib.sha256(data).hexdigest()
        if self.broken:
            self.broken -= 1
            data = bytes(len(data))
        return data, digest

    def take(self, offset: int, data: bytes, digest: str) -> tuple[int, dict[str, object]]:
        """Keep bytes at an offset; returns status and body."""
        self.got_bytes += len(data)
        if hashlib.sha256(data).hexdigest() != digest:
            return 400, {"code": "digest_mismatch", "detail": "broken"}
        if self.forgets:
            del self.content[self.forgets.pop(0) :]
        if offset > len(self.content):
            return 409, {"code": "offset_gap", "detail": "gap", "next": len(self.content)}
        self.content[offset : offset + len(data)] = data
        return 200, {"next": len(self.content)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    fake: FakeTransfers


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def fake(self) -> FakeTransfers:
        return self.server.fake

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if self._is_refused():
            return
        if not parts.path.endswith("/content"):
            self._json(200, {"next": len(self.fake.content), "complete": False})
            return
        query = {name: int(value[0]) for name, value in parse_qs(parts.query).items()}
        data, digest = self.fake.chunk(query["offset"], query["limit"])
        self._answer(200, data, {CHUNK_DIGEST_HEADER: digest})

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_refused():
            offset = int(parse_qs(urlsplit(self.path).query)["offset"][0])
            self._json(*self.fake.take(offset, data, self.headers[CHUNK_DIGEST_HEADER]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self._is_refused():
            self.fake.ended = json.loads(body)
            self._json(200, {"next": len(self.fake.content), "complete": True})

    def _is_refused(self) -> bool:
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._json(401, {"code": "invalid_token", "detail": "void"})
            return True
        if self.fake.busy:
            self.fake.busy -= 1
            self._json(503, {"code": "unavailable", "detail": "busy"})
            return True
        return False

    def _json(self, status: int, body: dict[str, object]) -> None:
        self._answer(status, json.dumps(body).encode(), {})

    def _answer(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.fake.cuts:
            self.fake.cuts -= 1
            data, self.close_connection = data[: len(data) // 2], True
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
