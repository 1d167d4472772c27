"""The only way this server fetches an address that a person typed in.

Promises: the name is looked up once and the connection goes to an address that was checked
(a name that changes its answer gains nothing); link-local, metadata, multicast and unspecified
addresses are refused, loopback too unless the server itself listens on loopback; no redirect
is followed, no proxy of the environment is used; at most 64 KiB of an answer are read and the
whole exchange ends within its deadline, however slowly the other side drips.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import requests
from django.conf import settings
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

DEADLINE_SECONDS = 10.0
CONNECT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024
TOO_SLOW = "no answer within the time limit"
USER_AGENT = "dialer-platform"
DENIED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local: cloud metadata lives at .169.254
        "fe80::/10",
        "100.100.100.200/32",  # metadata of Alibaba Cloud
        "fd00:ec2::254/128",  # metadata of AWS over IPv6
        "0.0.0.0/8",  # reaches loopback on Linux
        "::/128",
        "224.0.0.0/4",
        "ff00::/8",
        "255.255.255.255/32",
    )
)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[..., list[tuple[Any, ...]]]


class Denied(Exception):
    """The address may not be fetched by this server."""


class Unreachable(Exception):
    """No answer: not resolved, not connected, cut, too slow or not HTTP."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: at most 64 KiB of it."""

    status: int
    body: bytes
    retry_after: str = ""


def post(
    url: str, *, body: bytes, headers: Mapping[str, str], deadline: float = DEADLINE_SECONDS
) -> Answer:
    """Post and return the answer; raises Denied or Unreachable."""
    watch = _Deadline(deadline)
    with requests.Session() as session:
        session.trust_env = False  # a proxy would connect on our behalf, unchecked
        adapter = _GuardedAdapter(watch)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        try:
            answer = _exchange(session, url, body, headers)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise Unreachable(_reason(error, watch)) from error
        finally:
            watch.end()
    if watch.has_passed:  # the cut reads like the end of an answer
        raise Unreachable(TOO_SLOW)
    return answer


def permitted(addresses: Iterable[str]) -> list[str]:
    """Return the addresses this server may connect to, in order; raises Denied for none."""
    found = [text for text in addresses if not is_denied(ipaddress.ip_address(text.split("%")[0]))]
    if not found:
        raise Denied("This address is not fetched: it is link-local, metadata or loopback.")
    return found


def is_denied(address: Address) -> bool:
    """Return whether the server must not connect to the address."""
    # ::ffff:169.254.169.254 and 64:ff9b::a9fe:a9fe are other spellings of an IPv4 address.
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or _nat64(address)
        if inner is not None:
            return is_denied(inner)
    if any(address in network for network in LOOPBACK):
        return not settings.ALERTS_MAY_REACH_LOOPBACK
    return any(address in network for network in DENIED)


def _nat64(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address inside a NAT64 one."""
    is_nat64 = address in ipaddress.ip_network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if is_nat64 else None


def _exchange(
    session: requests.Session, url: str, body: bytes, headers: Mapping[str, str]
) -> Answer:
    """Send one request and read the beginning of its answer."""
    response = session.post(
        url,
        data=body,
        headers={"User-Agent": USER_AGENT, **headers},
        timeout=(CONNECT_SECONDS, DEADLINE_SECONDS),
        allow_redirects=False,
        stream=True,
    )
    with response:
        text = response.raw.read(MAX_ANSWER_BYTES, decode_content=False)
        return Answer(response.status_code, text, response.headers.get("Retry-After", ""))


def _reason(error: Exception, watch: _Deadline) -> str:
    """Say what went wrong without the address, which is a secret."""
    if watch.has_passed:
        return TOO_SLOW
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, Denied):
            raise cause
        if isinstance(cause, OSError) and cause.strerror:
            return str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return type(error).__name__


class _Deadline:
    """Cuts the connection when the time is up: timeouts of single reads do not add up to one."""

    def __init__(self, seconds: float) -> None:
        """Start counting."""
        self.has_passed = False
        self._sock: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._timer.start()

    def watch(self, sock: socket.socket) -> None:
        """Cut this connection at the deadline."""
        self._sock = sock

    def end(self) -> None:
        """Stop counting."""
        self._timer.cancel()
        if self._sock is not None:
            self._sock.close()

    def _cut(self) -> None:
        """End the connection under whoever reads from it."""
        self.has_passed = True
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)


def connect(
    host: str, port: int, *, timeout: float, resolve: Resolver = socket.getaddrinfo
) -> socket.socket:
    """Connect to a checked address of the host; raises Denied or OSError."""
    rows = resolve(host.strip("[]"), port, 0, socket.SOCK_STREAM)
    allowed = permitted(str(row[4][0]) for row in rows)
    failure: OSError = OSError("no address")
    for row in rows:
        if row[4][0] not in allowed:
            continue
        sock = socket.socket(row[0], socket.SOCK_STREAM)
        sock.settimeout(timeout)
        try:
            sock.connect(row[4])
        except OSError as error:
            failure = error
            sock.close()
        else:
            return sock
    raise failure


class _GuardedAdapter(HTTPAdapter):
    """Makes requests connect by `connect` above."""

    def __init__(self, watch: _Deadline) -> None:
        """Remember whom to tell of each connection."""
        self._watch = watch
        super().__init__(max_retries=0)

    def init_poolmanager(self, *_args: Any, **_options: Any) -> None:
        """Use pools whose connections are guarded."""
        watch = self._watch

        class Plain(HTTPConnection):
            """Connects to a checked address."""

            def _new_conn(self) -> socket.socket:
                return _watched(self, watch)

        class Encrypted(HTTPSConnection):
            """Connects to a checked address; the certificate is checked for the name."""

            def _new_conn(self) -> socket.socket:
                return _watched(self, watch)

        plain_pool = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        encrypted_pool = type("SafePool", (HTTPSConnectionPool,), {"ConnectionCls": Encrypted})
        self.poolmanager = PoolManager(num_pools=1, maxsize=1)
        self.poolmanager.pool_classes_by_scheme = {"http": plain_pool, "https": encrypted_pool}


def _watched(connection: HTTPConnection, watch: _Deadline) -> socket.socket:
    """Connect and put the connection under the deadline."""
    sock = connect(connection.host, connection.port or 80, timeout=CONNECT_SECONDS)
    # TLS takes the socket object over; a duplicate still ends the same connection.
    watch.watch(sock.dup())
    return sock
