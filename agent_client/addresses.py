"""What an address of a server says about the way there: this machine, or a network in clear.

Pure and of the standard library, because every command of the command line needs it.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

PLAIN_SCHEMES = frozenset({"http", "ws"})


def is_loopback(url: str) -> bool:
    """Return whether an address names this very machine, which no proxy can reach."""
    host = host_of(url)
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_exposed(url: str) -> bool:
    """Return whether what is sent there crosses a network unencrypted, credentials too."""
    return url.partition(":")[0].lower() in PLAIN_SCHEMES and not is_loopback(url)


def host_of(url: str) -> str:
    """Return the host of an address in lower case, "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # brackets that are not closed
        return ""
