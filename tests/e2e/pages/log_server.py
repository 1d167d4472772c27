"""A fake of the log endpoints for the browser: sockets and REST answered from bytes in memory.

Speaks the real wire format, so the page's modules run unchanged; a test says what is in
the log, when it ends, and whether sockets are blocked. No Django, no ports.
"""

from __future__ import annotations

import json
import mimetypes
import struct
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, Route, WebSocketRoute

from agent_client.protocol import frames

ROOT = Path(__file__).resolve().parents[3]
ORIGIN = "http://console.test"
UNACKED_LIMIT_BYTES = 1024 * 1024
START_MS = 1_790_000_000_000

HTML = """<!doctype html><html lang="en"><head><title>log</title>
<link rel="stylesheet" href="/static/css/tokens.css">
<link rel="stylesheet" href="/static/css/base.css">
<link rel="stylesheet" href="/static/css/components.css">
<link rel="stylesheet" href="/static/css/log.css">
<link rel="stylesheet" href="/page.css">
</head><body><task-log data-socket="/ws/tasks/1/log/" data-rest="/api/v1/tasks/1/log/"
 data-page="/tasks/1/" data-text-new-lines="{count} new lines" data-text-to-end="To the end"
 data-text-shown="Showing the last {part} of {size}" data-text-stored="stored {size} bytes"
 data-text-stored-of="stored {size} of {total} bytes" data-text-nothing="no output"
 data-text-nothing-yet="no output yet" data-text-searched-part="this part only"
 data-text-rate="{count} lines/s"
 data-text-state-live="live" data-text-state-polling="polling" data-text-state-complete="complete"
 data-text-state-reconnecting="reconnecting" data-text-copied="copied"
 data-text-link-copied="link copied">
<div class="log-tools"><button class="chip" data-log="follow" data-log-do="follow">follow</button>
<button class="chip" data-log="wrap" data-log-do="wrap">wrap</button>
<button class="chip" data-log="time" data-log-do="time">time</button>
<button class="chip" data-log="stdout" data-log-do="stdout" aria-pressed="true">stdout</button>
<button class="chip" data-log="stderr" data-log-do="stderr" aria-pressed="true">stderr</button>
<input class="field" data-log="search" aria-label="search"><output data-log="count"></output></div>
<div class="log-frame"><div class="log-bar" data-log="bar" hidden><span data-log="shown"></span>
<button data-log-do="earlier">earlier</button><button data-log-do="start">start</button></div>
<div class="log-body" data-log="body" data-testid="task-log" tabindex="0"></div>
<p class="log-empty" data-log="empty" hidden></p>
<button class="log-new" data-log="new" data-log-do="end" hidden></button></div>
<div class="log-foot"><span data-log="stored"></span><span data-log="state"></span>
<span data-log="rate"></span></div></task-log>
<script type="module" src="/static/js/log.js"></script></body></html>"""
PAGE_CSS = "body{margin:0;height:100vh}task-log{height:100vh}"


@dataclass
class LogServer:
    """The log of one task; `write` adds output, `finish` ends it."""

    page: Page
    pieces: list[tuple[int, int, bytes]] = field(default_factory=list)
    size: int = 0
    is_complete: bool = False
    is_socket_blocked: bool = False
    viewers: list[Viewer] = field(default_factory=list)
    opened_at: list[int] = field(default_factory=list)

    def install(self) -> None:
        """Answer everything the page asks for."""
        self.page.route("**/*", self._answer)
        self.page.route_web_socket("**/ws/tasks/1/log/**", self._connect)

    def open(self, fragment: str = "") -> None:
        """Show the page."""
        self.page.goto(f"{ORIGIN}/tasks/1/{fragment}")

    def write(self, text: str | bytes, *, stream: int = frames.STDOUT) -> None:
        """Add output, one frame a piece of 64 KiB, and tell the viewers."""
        data = text.encode() if isinstance(text, str) else text
        for at in range(0, len(data), frames.MAX_PAYLOAD_BYTES):
            piece = data[at : at + frames.MAX_PAYLOAD_BYTES]
            self.pieces.append((self.size, stream, piece))
            self.size += len(piece)
        self._tell()

    def finish(self) -> None:
        """End the log."""
        self.is_complete = True
        self._tell()

    def drop_viewers(self) -> None:
        """Cut every connection, as a restarted server does."""
        for viewer in self.viewers:
            viewer.socket.close(code=1012)
        self.viewers.clear()

    def _tell(self) -> None:
        for viewer in self.viewers:
            viewer.send()

    def _connect(self, socket: WebSocketRoute) -> None:
        if self.is_socket_blocked:
            socket.close(code=4403)
            return
        offset = int(parse_qs(urlsplit(socket.url).query)["offset"][0])
        self.opened_at.append(offset)
        viewer = Viewer(self, socket, offset, offset)
        self.viewers.append(viewer)
        socket.on_message(viewer.acknowledge)
        viewer.send()

    def _answer(self, route: Route) -> None:
        path = urlsplit(route.request.url).path
        if path.startswith("/static/"):
            file = ROOT / path.lstrip("/")
            kind = mimetypes.guess_type(file.name)[0] or "text/plain"
            route.fulfill(body=file.read_bytes(), content_type=kind)
        elif path.startswith("/api/"):
            self._answer_bytes(route)
        elif path == "/page.css":
            route.fulfill(body=PAGE_CSS, content_type="text/css")
        else:
            route.fulfill(body=HTML, content_type="text/html")

    def _answer_bytes(self, route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        offset, limit = int(query["offset"][0]), int(query.get("limit", ["1048576"])[0])
        whole = b"".join(data for _, _, data in self.pieces)
        headers = {
            "X-Log-Offset": str(offset),
            "X-Log-Size": str(self.size),
            "X-Log-Complete": "true" if self.is_complete else "false",
        }
        route.fulfill(body=whole[offset : offset + limit], headers=headers)


@dataclass
class Viewer:
    """One open socket and how far it has been sent and acknowledged."""

    log: LogServer
    socket: WebSocketRoute
    sent: int
    acknowledged: int

    def acknowledge(self, message: str | bytes) -> None:
        """Take {"ack": offset} and go on."""
        self.acknowledged = json.loads(message)["ack"]
        self.send()

    def send(self) -> None:
        """Send sizes, then as much as may be under way."""
        control = {"size": self.log.size, "complete": self.log.is_complete}
        self.socket.send(json.dumps(control))
        for start, stream, data in self.log.pieces:
            end = start + len(data)
            if end <= self.sent or self.sent - self.acknowledged >= UNACKED_LIMIT_BYTES:
                continue
            piece = data[max(0, self.sent - start) :]
            frame = frames.encode(stream, START_MS + start, piece)
            self.socket.send(struct.pack("!Q", self.sent) + frame)
            self.sent = end
