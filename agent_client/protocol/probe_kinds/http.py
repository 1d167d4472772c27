"""http: request a URL over HTTP/1.1, with or without TLS, and check the answer."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from agent_client.protocol.probe_kinds.endpoints import url_problems
from agent_client.protocol.probe_kinds.patterns import path_problem
from agent_client.protocol.probe_kinds.secure import SecureSettings
from agent_client.protocol.probe_kinds.shape import KindSpec, Problems

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_STATUS = re.compile(r"([1-5])xx|([1-5]\d\d)(?:-([1-5]\d\d))?")
# The engine frames the message itself: a second, contradicting frame would split requests.
FRAMING_HEADERS = frozenset({"content-length", "transfer-encoding", "connection", "upgrade"})
HeaderValue = Annotated[str, msgspec.Meta(max_length=8_192)]


class HttpSettings(SecureSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is sent, and what the answer has to look like."""

    method: Annotated[
        Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"],
        msgspec.Meta(title="Method", description=""),
    ] = "GET"
    headers: Annotated[
        dict[str, HeaderValue],
        msgspec.Meta(title="Headers", description="Sent with every request.", max_length=64),
    ] = {}
    body: Annotated[
        str,
        msgspec.Meta(
            title="Body",
            description="Sent as UTF-8.",
            max_length=65_536,
            extra_json_schema={"multiline": True},
        ),
    ] = ""
    expected_status: Annotated[
        tuple[Annotated[str | int, msgspec.Meta()], ...],
        msgspec.Meta(
            title="Expected status", description="Like 200, 200-299 or 2xx.", max_length=50
        ),
    ] = ("200-299",)
    body_regex: Annotated[
        str, msgspec.Meta(title="Body matches", description="A pattern in RE2's syntax.")
    ] = ""
    body_not_regex: Annotated[
        str, msgspec.Meta(title="Body does not match", description="A pattern in RE2's syntax.")
    ] = ""
    json_path: Annotated[
        str, msgspec.Meta(title="JSON path", description="Must exist, like data.items[0].name.")
    ] = ""
    json_equals: Annotated[
        str | int | float | bool | None,
        msgspec.Meta(title="JSON value", description="What the path leads to; empty = anything."),
    ] = None
    follow_redirects: Annotated[bool, msgspec.Meta(title="Follow redirects", description="")] = True
    max_redirects: Annotated[int, msgspec.Meta(title="Most redirects", ge=0, le=20)] = 5
    max_body_bytes: Annotated[
        int,
        msgspec.Meta(
            title="Largest body (bytes)",
            description="A longer body is a failure; counted after decompression.",
            ge=0,
            le=10_485_760,
        ),
    ] = 1_048_576
    username: Annotated[str, msgspec.Meta(title="User name", max_length=256)] = ""
    password: Annotated[
        str, msgspec.Meta(title="Password", max_length=1_024, extra_json_schema={"secret": True})
    ] = ""
    bearer_token: Annotated[
        str,
        msgspec.Meta(title="Bearer token", max_length=8_192, extra_json_schema={"secret": True}),
    ] = ""


def status_ranges(expected: tuple[str | int, ...]) -> tuple[tuple[int, int], ...]:
    """Return the inclusive ranges; raises ValueError with the one that cannot be read."""
    ranges = []
    for one in expected:
        found = _STATUS.fullmatch(str(one).strip())
        if found is None:
            raise ValueError(str(one)[:32])
        family, first, last = found.groups()
        if family:
            first, last = f"{family}00", f"{family}99"
        ranges.append((int(first), int(last or first)))
    return tuple(ranges)


def problems(settings: HttpSettings) -> Problems:
    """Return what is wrong with settings that only make sense together."""
    found: Problems = {}
    try:
        empty = not status_ranges(settings.expected_status)
        wrong = "the list is empty" if empty else ""
    except ValueError as error:
        wrong = f"{error} is none"
    if wrong:
        found["expected_status"] = [f"List status codes like 200, 200-299 or 2xx: {wrong}."]
    if sentences := _header_problems(settings.headers):
        found["headers"] = sentences
    if settings.json_path and (problem := path_problem(settings.json_path)):
        found["json_path"] = [problem]
    if settings.json_equals is not None and not settings.json_path:
        found["json_equals"] = ["Say with json_path where the value is."]
    if settings.bearer_token and settings.username:
        found["bearer_token"] = ["Use a bearer token or a user name, not both."]
    for name in ("username", "password", "bearer_token"):
        value: Any = getattr(settings, name)
        if not value.isprintable():
            found[name] = ["Contains a control character: remove it."]
    return found


def _header_problems(headers: dict[str, str]) -> list[str]:
    found = []
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            found.append(f"{name[:64]!r} is not a header name: use letters, digits and hyphens.")
        elif name.lower() in FRAMING_HEADERS:
            found.append(f"{name} is set by the probe itself: remove it.")
        elif any(ord(character) < 32 and character != "\t" for character in value):
            found.append(f"The value of {name} contains a line break: remove it.")
        elif not value.isascii():
            found.append(f"The value of {name} is not ASCII: encode it.")
    return found


SPEC = KindSpec(
    name="http",
    title="HTTP(S)",
    summary="Requests a URL and checks status, body and certificate.",
    target_help="a URL like https://example.com/health",
    settings=HttpSettings,
    problems_of_target=url_problems,
    problems_of_settings=problems,
)
