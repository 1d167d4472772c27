"""Keeps addresses and signing secrets of channels unreadable in the database and its backups.

Owns sealing and opening. The key comes from SECRET_KEY: who replaces that must enter the
addresses anew, and a delivery says so instead of failing obscurely.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

PURPOSE = b"dialer.alerts.channel"


class Unreadable(Exception):
    """The sealed text was sealed under another SECRET_KEY."""


def seal(text: str) -> str:
    """Return the text so that only this installation can read it; "" stays ""."""
    return _fernet().encrypt(text.encode()).decode() if text else ""


def unseal(sealed: str) -> str:
    """Return what was sealed; raises Unreadable."""
    if not sealed:
        return ""
    try:
        return _fernet().decrypt(sealed.encode()).decode()
    except InvalidToken as error:
        raise Unreadable("sealed under another SECRET_KEY") from error


def _fernet() -> Fernet:
    """Return the cipher; the purpose keeps its key apart from every other use of SECRET_KEY."""
    key = hashlib.blake2b(PURPOSE, key=_key_bytes(), digest_size=32).digest()
    return Fernet(base64.urlsafe_b64encode(key))


def _key_bytes() -> bytes:
    """Return SECRET_KEY as at most 64 bytes, which is what blake2b takes as a key."""
    return hashlib.sha512(settings.SECRET_KEY.encode()).digest()
