# mypy: disable-error-code="no-untyped-call"
"""How the web server speaks TLS with its own certificate: versions 1.2 and newer."""

from __future__ import annotations

from OpenSSL import crypto
from twisted.internet import ssl

from dialer_platform.launch.certificate import ServerCertificate


def options_of(own: ServerCertificate) -> ssl.CertificateOptions:
    """Return what the web server makes its TLS connections of."""
    return ssl.CertificateOptions(
        privateKey=crypto.PKey.from_cryptography_key(own.key),  # type: ignore[arg-type]
        certificate=crypto.X509.from_cryptography(own.certificate),
        # Clients know the root only: without the chain they could not get from one to the other.
        extraCertChain=[crypto.X509.from_cryptography(one) for one in own.chain],
        raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
    )
