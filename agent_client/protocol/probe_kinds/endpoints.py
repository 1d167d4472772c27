"""Targets: `host:port`, URLs, plain host names; taken apart and checked.

Pure: a name is only looked at, never looked up.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from typing import NamedTuple
from urllib.parse import urlsplit

_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
MAX_HOST_CHARACTERS = 253
DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}


class Endpoint(NamedTuple):
    """A host without brackets, and a port."""

    host: str
    port: int


class Url(NamedTuple):
    """A URL as a client needs it; path includes the query and never the fragment."""

    scheme: str
    host: str
    port: int
    path: str
    netloc: str
    """What the Host header says: without a port that the scheme implies."""


@functools.lru_cache(maxsize=4_096)
def split_endpoint(target: str, default_port: int = 0) -> Endpoint:
    """Return host and port of `host:port`, `[v6]:port` or `host`; raises ValueError."""
    host, port = target, ""
    if target.startswith("["):
        host, closed, rest = target[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address is written [address]:port")
        port = rest[1:]
    elif target.count(":") == 1:
        host, _, port = target.partition(":")
    host = checked_host(host)
    if not port and default_port:
        return Endpoint(host, default_port)
    if not port.isascii() or not port.isdigit() or not 1 <= int(port[:6]) <= 65_535:
        raise ValueError("the port must be a number from 1 to 65535")
    return Endpoint(host, int(port))


def checked_host(host: str) -> str:
    """Return the host as ASCII; raises ValueError when it can be no name and no address."""
    try:
        return (
            str(ipaddress.ip_address(host.partition("%")[0])) + host[len(host.partition("%")[0]) :]
        )
    except ValueError:
        pass
    try:
        name = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("the host name is not valid") from None
    labels = name.rstrip(".").split(".")
    if not name or len(name) > MAX_HOST_CHARACTERS or not all(map(_NAME.fullmatch, labels)):
        raise ValueError("the host name is not valid")
    return name


@functools.lru_cache(maxsize=4_096)
def split_url(text: str, schemes: tuple[str, ...] = ("http", "https")) -> Url:
    """Return the parts of an absolute URL; raises ValueError."""
    if not text.isprintable() or " " in text:
        raise ValueError("it contains a space or a control character")
    parts = urlsplit(text)
    if parts.scheme not in schemes:
        raise ValueError(f"it must start with {' or '.join(f'{one}://' for one in schemes)}")
    if "@" in parts.netloc:
        raise ValueError("it contains a user name; put it into the settings")
    host = checked_host(parts.hostname or "")
    port = parts.port if parts.port is not None else DEFAULT_PORTS[parts.scheme]
    if not 1 <= port <= 65_535:
        raise ValueError("the port must be a number from 1 to 65535")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    shown = f"[{host}]" if ":" in host else host
    netloc = shown if port == DEFAULT_PORTS[parts.scheme] else f"{shown}:{port}"
    return Url(parts.scheme, host, port, path, netloc)


def endpoint_problems(target: str, default_port: int = 0) -> list[str]:
    """Return what is wrong with a `host:port` target."""
    try:
        split_endpoint(target, default_port)
    except ValueError as error:
        example = "db.example.com" if default_port else "db.example.com:5432"
        return [f"Not a host and port ({error}): write it like {example}."]
    return []


def url_problems(target: str, schemes: tuple[str, ...] = ("http", "https")) -> list[str]:
    """Return what is wrong with a URL target."""
    try:
        split_url(target, schemes)
    except ValueError as error:
        return [f"Not a usable URL ({error}): write it like {schemes[-1]}://example.com/health."]
    return []


def host_problems(target: str) -> list[str]:
    """Return what is wrong with a target that is a host alone."""
    try:
        checked_host(target.strip("[]"))
    except ValueError as error:
        return [f"Not a host ({error}): write it like gateway.example.com or 192.0.2.1."]
    return []
