"""Credentials as text: `prefix_publicid_secret_crc`, for hosts to enrol, agents and people.

Owns making, reading and checking them. Promises 256 bits of randomness, a checksum that
spots typos without a look-up, and comparison in constant time. Never stores a secret:
rows hold the public id and the SHA-256 of the secret (high entropy, so no slow hash).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import zlib
from dataclasses import dataclass

ENROLMENT_PREFIX = "dpe"
AGENT_PREFIX = "dpa"
USER_PREFIX = "dpu"
TRANSFER_PREFIX = "dpt"

ALPHABET = string.digits + string.ascii_letters
PUBLIC_ID_CHARACTERS = 12
SECRET_CHARACTERS = 43  # base62 digits that hold 256 bits
MAX_TEXT_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class NewCredential:
    """A fresh credential: `text` is shown once, the other two are kept."""

    text: str
    public_id: str
    secret_sha256: str


@dataclass(frozen=True, slots=True)
class ParsedCredential:
    """What a presented credential says; its checksum is right, nothing else is checked."""

    prefix: str
    public_id: str
    secret: str


def make(prefix: str) -> NewCredential:
    """Return a new credential of the kind that the prefix names."""
    public_id = _random_text(PUBLIC_ID_CHARACTERS)
    secret = _random_text(SECRET_CHARACTERS)
    return NewCredential(compose(prefix, public_id, secret), public_id, digest(secret))


def compose(prefix: str, public_id: str, secret: str) -> str:
    """Return the text of a credential; its parts must not contain underscores."""
    body = f"{prefix}_{public_id}_{secret}"
    return f"{body}_{_checksum(body)}"


def parse(text: str, *, prefix: str) -> ParsedCredential | None:
    """Return the parts of a credential, or None for another kind, shape or checksum."""
    if len(text) > MAX_TEXT_CHARACTERS or not text.isascii():
        return None
    body, _, checksum = text.rpartition("_")
    parts = body.split("_")
    if len(parts) != 3 or parts[0] != prefix or checksum != _checksum(body):
        return None
    return ParsedCredential(*parts)


def digest(secret: str) -> str:
    """Return what the database keeps of a secret: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode("ascii")).hexdigest()


def matches(parsed: ParsedCredential, secret_sha256: str) -> bool:
    """Tell in constant time whether the presented secret is the one of the row."""
    return hmac.compare_digest(digest(parsed.secret), secret_sha256)


def _random_text(characters: int) -> str:
    """Return unpredictable base62 characters."""
    return "".join(secrets.choice(ALPHABET) for _ in range(characters))


def _checksum(body: str) -> str:
    """Return eight hex digits over everything before the last underscore."""
    return f"{zlib.crc32(body.encode('ascii')):08x}"
