"""The host's key to one transfer: `dpt_…`, derived from the transfer and the offer.

Derived instead of drawn and stored: an offer that is sent again carries the same token, a
new offer another one, and nobody who reads the database finds any. What it opens ends with
the offer or the task, which the caller checks.
"""

from __future__ import annotations

import base64

from django.utils.crypto import constant_time_compare, salted_hmac

from dialer_platform.accounts import secrets

SALT = "dialer.transfer"


def token_of(transfer_id: str, offer: int) -> str:
    """Return the token of one offer of a transfer."""
    mac = salted_hmac(SALT, f"{transfer_id}:{offer}", algorithm="sha256").digest()
    secret = base64.b32encode(mac).decode().rstrip("=")
    return secrets.compose(secrets.TRANSFER_PREFIX, transfer_id, secret)


def transfer_id_in(token: str) -> str | None:
    """Return which transfer a token names, None for what is no such token; proves nothing."""
    parsed = secrets.parse(token, prefix=secrets.TRANSFER_PREFIX)
    return parsed.public_id if parsed else None


def opens(token: str, transfer_id: str, offer: int) -> bool:
    """Tell in constant time whether the token is that of the offer."""
    return constant_time_compare(token, token_of(transfer_id, offer))
