"""TLS contexts shared by all probes, and what a certificate says about its time.

The standard library reads dates only from certificates that it has verified. Probes with
the check turned off want them too, so the two dates are read from the DER itself.
"""

from __future__ import annotations

import calendar
import functools
import hashlib
import ssl
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

MAX_CHAIN = 10
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_EXPLICIT_VERSION, _UTC_TIME = 0xA0, 0x17


class Validity(NamedTuple):
    """UTC seconds since the epoch."""

    not_before: float
    not_after: float


@functools.lru_cache(maxsize=64)
def client_context(verify: bool, oldest: str = "1.2", alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """Return the context for these settings; building one loads all certificate authorities."""
    context = ssl.create_default_context()
    context.minimum_version = _VERSIONS[oldest]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def chain_of(sock: ssl.SSLSocket) -> list[bytes]:
    """Return the DER certificates that the server sent, its own first."""
    inner = getattr(sock, "_sslobj", None)
    # Public from Python 3.13 on; before that the same method sits one object deeper.
    reader = getattr(sock, "get_unverified_chain", None) or getattr(
        inner, "get_unverified_chain", None
    )
    chain: Sequence[Any] = (reader() if reader else None) or ()
    found = [one if isinstance(one, bytes) else one.public_bytes(2) for one in chain[:MAX_CHAIN]]
    leaf = sock.getpeercert(binary_form=True)
    return found or ([leaf] if leaf else [])


def note_of(chain: list[bytes], version: str, cipher: str) -> dict[str, Any]:
    """Return what a result says about one handshake; the chain's earliest end counts."""
    ends = [found.not_after for der in chain if (found := validity(der)) is not None]
    note: dict[str, Any] = {"version": version, "cipher": cipher, "chain": len(chain)}
    note["fingerprint"] = hashlib.sha256(chain[0]).hexdigest() if chain else ""
    note["not_after"] = min(ends, default=0.0)
    note["days_left"] = int((note["not_after"] - time.time()) // 86_400) if ends else 0
    return note


@functools.lru_cache(maxsize=4_096)
def validity(der: bytes) -> Validity | None:
    """Return the dates of a certificate, None for something that is none."""
    try:
        body = _inside(_inside(der, 0)[0], 0)[0]
        position = 0
        if body[0] == _EXPLICIT_VERSION:
            position = _inside(body, 0)[1]
        for _ in range(3):  # serial number, signature algorithm, issuer
            position = _inside(body, position)[1]
        dates = _inside(body, position)[0]
        second = _inside(dates, 0)[1]
        return Validity(_moment(dates, 0), _moment(dates, second))
    except (IndexError, ValueError):
        return None


def _inside(der: bytes, position: int) -> tuple[bytes, int]:
    """Return the contents of the element at a position, and where the next one begins."""
    length, start = der[position + 1], position + 2
    if length & 0x80:
        size = length & 0x7F
        length = int.from_bytes(der[start : start + size], "big")
        start += size
    if start + length > len(der):
        raise ValueError("the element is cut off")
    return der[start : start + length], start + length


def _moment(der: bytes, position: int) -> float:
    text = _inside(der, position)[0].decode("ascii")
    if der[position] == _UTC_TIME:
        # RFC 5280: two digits below 50 are 20xx, the others 19xx.
        text = ("20" if text[:2] < "50" else "19") + text
    return float(calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ")))
