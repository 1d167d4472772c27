"""http: requests a URL, follows redirects, checks status and body."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Generator
from typing import Any
from urllib.parse import urljoin

import msgspec

from agent_client import __version__
from agent_client.probes.certificates import client_context
from agent_client.probes.dialogue import Dialogue, Waits, socket_kind
from agent_client.probes.failures import CheckFailed, ProtocolViolation
from agent_client.probes.http_answer import Answer, read_answer
from agent_client.probes.kind import Kind, Want
from agent_client.protocol.probe_kinds import patterns
from agent_client.protocol.probe_kinds.endpoints import Url, split_url
from agent_client.protocol.probe_kinds.http import HttpSettings, status_ranges

REDIRECTS = frozenset({301, 302, 303, 307, 308})
SAMPLE_CHARACTERS = 200
MAX_NOTED_URL_CHARACTERS = 120
_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@socket_kind
def _talk(talk: Dialogue) -> Waits:
    """Hold the whole conversation: every hop, then the checks of the last answer."""
    settings: HttpSettings = talk.run.config
    url = split_url(talk.run.target)
    answer = yield from _follow(talk, url, settings)
    talk.details["status"] = answer.status
    talk.details["body_bytes"] = len(answer.body)
    _check_status(answer, settings)
    if answer.body:
        talk.details["body_sha256"] = hashlib.sha256(answer.body).hexdigest()
    if settings.body_regex or settings.body_not_regex or settings.json_path:
        _check_body(answer.body, settings)


KIND = Kind("http", HttpSettings, steps=_talk)


def _follow(talk: Dialogue, url: Url, settings: HttpSettings) -> Generator[Want, Any, Answer]:
    """Return the answer at the end of the redirects."""
    origin, method = url, settings.method
    for _ in range(settings.max_redirects + 1):
        answer = yield from _exchange(talk, url, method, settings, origin)
        location = answer.headers.get("location", "")
        if not (settings.follow_redirects and answer.status in REDIRECTS and location):
            return answer
        url = _next_url(url, location)
        # Like browsers: everything but 307 and 308 turns a POST into a GET.
        if answer.status in (301, 302, 303) and method != "HEAD":
            method = "GET"
    raise CheckFailed(f"redirected more than {settings.max_redirects} times", "status")


def _next_url(url: Url, location: str) -> Url:
    try:
        return split_url(urljoin(f"{url.scheme}://{url.netloc}{url.path}", location))
    except ValueError as error:
        raise ProtocolViolation(f"redirects to {location[:80]!r}: {error}") from None


def _exchange(
    talk: Dialogue, url: Url, method: str, settings: HttpSettings, origin: Url
) -> Generator[Want, Any, Answer]:
    """Return the answer of one hop, each on a connection of its own."""
    before = dict(talk.phases)
    yield from talk.connect(url.host, url.port)
    if url.scheme == "https":
        context = client_context(settings.verify_tls, settings.tls_min_version, ("http/1.1",))
        name = settings.server_name if url.host == origin.host else ""
        yield from talk.secure(context, name or url.host)
    talk.enter("send")
    same_origin = url[:3] == origin[:3]
    yield from talk.send(_request(url, method, settings, same_origin))
    talk.enter("ttfb")
    answer = yield from read_answer(
        talk, head_only=method == "HEAD", max_body_bytes=settings.max_body_bytes
    )
    talk.close()
    talk.enter("")
    if settings.follow_redirects and (answer.status in REDIRECTS or "hops" in talk.details):
        _note_hop(talk, url, answer.status, before)
    return answer


def _note_hop(talk: Dialogue, url: Url, status: int, before: dict[str, float]) -> None:
    spent = {name: round(now - before.get(name, 0.0), 6) for name, now in talk.phases.items()}
    shown = f"{url.scheme}://{url.netloc}{url.path.partition('?')[0]}"[:MAX_NOTED_URL_CHARACTERS]
    talk.details.setdefault("hops", []).append({"url": shown, "status": status, "phases": spent})


@functools.lru_cache(maxsize=1_024)
def _basic(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


def _request(url: Url, method: str, settings: HttpSettings, same_origin: bool) -> bytes:
    """Return the request; credentials go to the origin that the probe names, to nobody else."""
    headers = {
        "Host": url.netloc,
        "User-Agent": f"dialer-agent/{__version__}",
        "Accept": "*/*",
        "Accept-Encoding": "gzip, deflate",
        "Connection": "close",
    }
    for name, value in settings.headers.items():
        if same_origin or name.lower() not in _SECRET_HEADERS:
            headers[name.title()] = value
    if same_origin and settings.username:
        headers["Authorization"] = f"Basic {_basic(settings.username, settings.password)}"
    if same_origin and settings.bearer_token:
        headers["Authorization"] = f"Bearer {settings.bearer_token}"
    body = settings.body.encode() if method == settings.method else b""
    if body or method in ("POST", "PUT", "PATCH"):
        headers["Content-Length"] = str(len(body))
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    path = url.path if url.path.isascii() else _ascii_path(url.path)
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body


def _ascii_path(path: str) -> str:
    return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode()) for c in path)


@functools.lru_cache(maxsize=256)
def _ranges(expected: tuple[str | int, ...]) -> tuple[tuple[int, int], ...]:
    return status_ranges(expected)


def _check_status(answer: Answer, settings: HttpSettings) -> None:
    if any(low <= answer.status <= high for low, high in _ranges(settings.expected_status)):
        return
    expected = ", ".join(map(str, settings.expected_status))
    text = f"status {answer.status}, expected {expected}: {_sample(answer.body)}"
    raise CheckFailed(text.rstrip(": "), "status")


def _check_body(body: bytes, settings: HttpSettings) -> None:
    if settings.body_regex and not patterns.matches(settings.body_regex, body):
        raise CheckFailed(f"the body does not match {settings.body_regex!r}: {_sample(body)}")
    if settings.body_not_regex and patterns.matches(settings.body_not_regex, body):
        raise CheckFailed(f"the body matches {settings.body_not_regex!r}: {_sample(body)}")
    if settings.json_path:
        _check_json(body, settings)


def _check_json(body: bytes, settings: HttpSettings) -> None:
    try:
        value = patterns.look_up(patterns.parse_path(settings.json_path), msgspec.json.decode(body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise CheckFailed(f"the body is not JSON: {_sample(body)}") from None
    except LookupError as error:
        raise CheckFailed(f"the JSON has no {settings.json_path} (at {error})") from None
    wanted = settings.json_equals
    # True equals 1 in Python; in JSON they are two things.
    same = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
    if wanted is not None and not same:
        raise CheckFailed(f"{settings.json_path} is {str(value)[:80]!r}, expected {wanted!r}")


def _sample(body: bytes) -> str:
    """Return the beginning of a body on one line, for people who look for the cause."""
    text = body[: 4 * SAMPLE_CHARACTERS].decode("utf-8", "replace")
    return " ".join(text.split())[:SAMPLE_CHARACTERS]
