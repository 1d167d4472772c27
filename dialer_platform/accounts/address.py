"""Where a request comes from: the peer, or what a trusted proxy says about it.

Never believes a forwarding header from an address that is not in
DIALER_TRUSTED_PROXIES: a client could write anything there and so dodge every limit.
"""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the address of the client as far as it can be trusted."""
    peer = str(request.META.get("REMOTE_ADDR") or "")
    trusted = settings.TRUSTED_PROXIES
    if peer not in trusted:
        return peer
    hops = str(request.META.get("HTTP_X_FORWARDED_FOR", "")).split(",")
    for hop in reversed([hop.strip() for hop in hops if hop.strip()]):
        if hop not in trusted:
            return hop[:64]
    return peer
