"""Signatures of packages: Ed25519, public keys and signatures in base64.

The private key is its author's alone; neither server nor agent ever has one. The library
is loaded when something is signed or checked, not by an agent that installs nothing.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from agent_client.errors import Rejected
from agent_client.protocol.plugin_package import signed_text
from agent_client.protocol.plugins import PluginPackage

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_KEY_BYTES = 32
_SIGNATURE_BYTES = 64


def refused(detail: str) -> Rejected:
    """Return the refusal of a package."""
    return Rejected(detail, code="package_refused")


def check_signature(name: str, package: PluginPackage, keys: Iterable[str]) -> None:
    """Refuse a package that no listed key has signed as this version of this plug-in."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError as error:
        raise refused("signatures cannot be checked: install cryptography") from error
    # Sizes first: the library takes anything and its errors say little.
    signature = _decoded(package.signature, _SIGNATURE_BYTES)
    if signature is None:
        raise refused(f"{name} {package.version} has no signature")
    # All three are signed: a signature fits no other name and no other version.
    text = signed_text(name, package.version, package.sha256)
    for key in keys:
        public = _decoded(key, _KEY_BYTES)
        if public is None:
            continue  # a typing mistake in one key must not open or close the others
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, text)
        except (InvalidSignature, ValueError):
            continue
        return
    raise refused(f"{name} {package.version} is not signed by a key of this host's policy")


def make_key(file: Path) -> str:
    """Write a new private key that only its owner can read; return the public one.

    Raises FileExistsError rather than replace a key.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    # O_EXCL: a key that is overwritten is lost for every host that lists it.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(pem)
    return public_key(key)


def read_key(file: Path) -> Ed25519PrivateKey:
    """Return the private key of a PEM file; raises OSError or ValueError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    # PEM, so that keys made by openssl work as well.
    key = load_pem_private_key(file.read_bytes(), password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError("it is no Ed25519 key")
    return key


def public_key(key: Ed25519PrivateKey) -> str:
    """Return the public key as the policy file lists it."""
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def sign(key: Ed25519PrivateKey, name: str, version: str, sha256: str) -> str:
    """Return the signature of a package."""
    return base64.b64encode(key.sign(signed_text(name, version, sha256))).decode()


def _decoded(text: str, size_bytes: int) -> bytes | None:
    """Return base64 of exactly so many bytes, None for anything else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if len(data) == size_bytes else None
