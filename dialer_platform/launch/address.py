"""Whether the server's address is free, asked before anything else is done."""

from __future__ import annotations

import errno
import socket


class AddressUnusable(Exception):
    """The address cannot be listened on; the sentence says why and what to do."""


def require_free(host: str, port: int) -> None:
    """Raise AddressUnusable if nothing could listen on the address right now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host.strip("[]"), port))
        except OSError as error:
            raise AddressUnusable(_sentence(host, port, error)) from error


def url_of(host: str, port: int, *, is_tls: bool = False) -> str:
    """Return the address for a browser on this machine."""
    scheme = "https" if is_tls else "http"
    if host in {"0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}/" if ":" in host else f"{scheme}://{host}:{port}/"


def _sentence(host: str, port: int, error: OSError) -> str:
    """Say why the address is unusable and how to mend it."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} on {host} is in use by another program. "
            f"Stop it, or choose another port: DIALER_PORT={port + 1}"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Choose one above 1023 with DIALER_PORT."
    return f"Cannot listen on {host}:{port}: {error.strerror}. Check DIALER_HOST and DIALER_PORT."
