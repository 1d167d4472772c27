"""A channel, a rule and a receiver of hooks on loopback."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.utils import timezone

from tasks.alerts import problems
from tasks.alerts.models import Channel, Rule
from tasks.alerts.problems import Problem
from tasks.alerts.services.channels import create_channel
from tasks.alerts.services.rules import create_rule


@dataclass
class Receiver:
    """Answers every POST with `status` and `answer`; keeps what came."""

    url: str = ""
    status: int = 200
    answer: bytes = b"{}"
    headers_sent: dict[str, str] = field(default_factory=dict)
    got: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    """Return the handler that fills the receiver."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.got.append(json.loads(body))
            receiver.headers.append(dict(self.headers))
            receiver.paths.append(self.path)
            self.send_response(receiver.status)
            for name, value in receiver.headers_sent.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(receiver.answer)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that listens."""
    found = Receiver()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(found))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    found.url = f"http://127.0.0.1:{server.server_port}/hook"
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def channel(principal, receiver) -> Channel:
    """A webhook to the receiver."""
    return create_channel(by=principal, fields={"name": "ops", "address": receiver.url})


@pytest.fixture
def rule(principal, channel) -> Rule:
    """A rule that tells everything at once."""
    fields = {"name": "all", "channels": [channel], "group_seconds": 0}
    return create_rule(by=principal, fields=fields)


@pytest.fixture
def wrong(monkeypatch) -> list[Problem]:
    """What is wrong: the only source of problems is this list."""
    found: list[Problem] = []
    monkeypatch.setattr(problems, "_sources", {"test": lambda _tenant, _now: list(found)})
    return found


@pytest.fixture
def problem() -> Callable[..., Problem]:
    """Return a function that makes a problem."""

    def make(key: str = "probe:1", **changes: Any) -> Problem:
        values = {
            "event": "probe_down",
            "key": key,
            "name": "shop",
            "title": "shop is down",
            "since": timezone.now(),
            "url": "/probes/1/",
        }
        return Problem(**{**values, **changes})

    return make
