"""Where a request comes from: the peer, or what a trusted proxy says about it.

Never believes a forwarding header from an address that is not in
DIALER_TRUSTED_PROXIES: a client could write anything there and so dodge every limit.
"""

from __future__ import annotations

import ipaddress

from django.conf import settings
from django.http import HttpRequest

FORWARDING_HEADERS = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


def is_forwarded_unseen(request: HttpRequest) -> bool:
    """Tell whether a proxy that is not trusted sent this: the peer's address says nothing.

    A proxy on this machine makes every stranger look like this machine.
    """
    is_trusted = str(request.META.get("REMOTE_ADDR") or "") in settings.TRUSTED_PROXIES
    return not is_trusted and any(name in request.META for name in FORWARDING_HEADERS)


def client_address(request: HttpRequest) -> str:
    """Return the address of the client as far as it can be trusted."""
    peer = str(request.META.get("REMOTE_ADDR") or "")
    return behind_proxies(peer, str(request.META.get("HTTP_X_FORWARDED_FOR", "")))


def behind_proxies(peer: str, forwarded_for: str) -> str:
    """Return the last address in the header that is no trusted proxy's, if the peer is one."""
    trusted = settings.TRUSTED_PROXIES
    if peer not in trusted:
        return peer
    for hop in reversed([hop.strip() for hop in forwarded_for.split(",") if hop.strip()]):
        if hop not in trusted:
            return hop[:64]
    return peer


def origin_of(address: str) -> str:
    """Return what one client cannot change at will: of IPv6 the network of 64 bits."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(parsed.ipv4_mapped or ipaddress.IPv6Network((int(parsed), 64), strict=False))
