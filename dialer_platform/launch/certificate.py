"""The server's own certificate: read, checked and ready for https, or refused with a remedy.

A setting is the path of a PEM file or the PEM text itself, which is what `NAME_FILE` gives.
The first certificate is the server's, the others are its chain. Nothing here opens a
socket or remembers anything; the key is never part of a message.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

CERT_SETTING = "DIALER_TLS_CERT"
KEY_SETTING = "DIALER_TLS_KEY"
_PEM_BEGIN = "-----BEGIN"


class Unusable(Exception):
    """The certificate or the key cannot be used; names the setting."""

    def __init__(self, problem: str, remedy: str) -> None:
        """Keep what a person can do about it."""
        super().__init__(problem)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """A certificate with its chain, and the key that belongs to it."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    key: PrivateKeyTypes = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the certificate, as agents pin it."""
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return hashlib.sha256(der).hexdigest()

    @property
    def expires_at(self) -> datetime:
        """Return until when clients believe it, in UTC."""
        return self.certificate.not_valid_after_utc


def load(certificate: str, key: str) -> ServerCertificate | None:
    """Return the certificate that the two settings name, None without any; raises Unusable."""
    if not (certificate or key):
        return None
    for value, name, other in (
        (certificate, CERT_SETTING, KEY_SETTING),
        (key, KEY_SETTING, CERT_SETTING),
    ):
        if not value:
            raise Unusable(f"{other} is set and {name} is not.", f"Set both, or unset {other}.")
    found = _certificates(_content(certificate, CERT_SETTING))
    private = _key(_content(key, KEY_SETTING))
    if found[0].public_key() != private.public_key():
        raise Unusable(
            f"{KEY_SETTING} does not belong to the first certificate of {CERT_SETTING}.",
            "Name the key that the certificate was requested with; in a file with a chain the "
            "server's own certificate comes first.",
        )
    return ServerCertificate(found[0], tuple(found[1:]), private)


def _content(value: str, name: str) -> bytes:
    """Return the PEM that a setting holds or names."""
    if value.lstrip().startswith(_PEM_BEGIN):
        return value.encode()
    try:
        return Path(value).expanduser().read_bytes()
    except OSError as error:
        raise Unusable(
            f"{name}: {value}: {error.strerror}.",
            f"Name a PEM file in {name} that the server's user can read.",
        ) from error


def _certificates(data: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise Unusable(
            f"{CERT_SETTING} holds no certificate in PEM.",
            "It begins with -----BEGIN CERTIFICATE-----; convert DER with `openssl x509 -inform "
            "der`.",
        ) from error


def _key(data: bytes) -> PrivateKeyTypes:
    remedy = "It begins with -----BEGIN PRIVATE KEY----- and must not need a passphrase."
    try:
        return serialization.load_pem_private_key(data, password=None)
    except TypeError as error:
        raise Unusable(f"{KEY_SETTING} is protected by a passphrase.", remedy) from error
    except ValueError as error:
        raise Unusable(f"{KEY_SETTING} holds no private key in PEM.", remedy) from error
