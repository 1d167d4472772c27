"""Which certificate of the server this host believes: a public CA, a private one, or one pin.

Never "any": there is no switch that turns the check off. A pin is the SHA-256 of the
server's own certificate, as `--server-fingerprint` gives it at the first start. The
certificate that has this digest becomes the only one that is trusted, so the check is the
TLS library's own, in the handshake, before any credential is sent.
"""

from __future__ import annotations

import hashlib
import re
import socket
import ssl
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from agent_client.errors import Retryable, Terminal

FETCH_SECONDS = 10.0
HTTPS_PORT = 443
_DIGITS = re.compile(r"[0-9a-f]{64}")


class WrongCertificate(Retryable):
    """The server shows another certificate than the pinned one; nothing was sent to it."""

    default_code = "certificate_refused"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the configuration says; both empty means the public CAs of this host."""

    ca_file: Path | None = None
    fingerprint: str = ""
    """64 hex digits, lower case, without colons."""

    def context_for(self, server: str) -> ssl.SSLContext | None:
        """Return how to speak TLS with a server, None for plain http; may block.

        Raises WrongCertificate, Terminal for an unusable CA file, OSError when the server
        does not answer.
        """
        parts = urlsplit(server)
        if parts.scheme not in ("https", "wss"):
            return None
        if self.fingerprint:
            return _pinned(parts.hostname or "", parts.port or HTTPS_PORT, self.fingerprint)
        return _with_authorities(self.ca_file)


def parse_fingerprint(text: str) -> str:
    """Return a digest as Trust takes it; raises ValueError. Colons and case do not matter."""
    digits = text.strip().lower().removeprefix("sha256:").replace(":", "")
    if digits and not _DIGITS.fullmatch(digits):
        raise ValueError("is not a SHA-256 fingerprint of 64 hex digits")
    return digits


def fingerprint_of(certificate: bytes) -> str:
    """Return the digest of a certificate in DER."""
    return hashlib.sha256(certificate).hexdigest()


@lru_cache(maxsize=4)
def _with_authorities(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that trusts the public authorities, or only those of a file."""
    try:
        return ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        detail = f"connection.ca_file {ca_file}: {error.strerror or error}"
        raise Terminal(detail, code="config_invalid") from error


def _pinned(host: str, port: int, fingerprint: str) -> ssl.SSLContext:
    """Return a context that trusts one certificate only, whatever names stand in it."""
    certificate = _shown_certificate(host, port)
    shown = fingerprint_of(certificate)
    if shown != fingerprint:
        raise WrongCertificate(f"{host}:{port} shows the certificate {shown}, which is not pinned.")
    context = ssl.create_default_context(cadata=certificate)
    # The certificate itself is the identity: its names and its issuer add nothing.
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _shown_certificate(host: str, port: int) -> bytes:
    """Return the certificate that a server shows, unchecked; nothing else is exchanged."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    with (
        socket.create_connection((host, port), FETCH_SECONDS) as connection,
        context.wrap_socket(connection, server_hostname=host) as channel,
    ):
        return channel.getpeercert(binary_form=True) or b""
