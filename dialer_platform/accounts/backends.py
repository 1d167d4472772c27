"""Checks a password, but only as often as the limits of guessing allow.

The limit sits here and not in the login page, so that no other page can be used to guess.
An unknown account is counted, answered and timed like a known one.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from dialer_platform.accounts.address import client_address
from dialer_platform.accounts.models import User
from dialer_platform.accounts.services import attempts, audit


class LimitedBackend(ModelBackend):
    """Django's password check behind the attempt counter."""

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **credentials: Any,
    ) -> User | None:
        """Return the user for a right password; raises PermissionDenied when locked."""
        if username is None or password is None:
            return None
        address = client_address(request) if request is not None else ""
        if not attempts.reserve(username=username, address=address):
            raise PermissionDenied
        user = super().authenticate(request, username, password, **credentials)
        if isinstance(user, User):
            attempts.forgive(username=username, address=address)
            return user
        # The typed name is not recorded: now and then it is a password.
        audit.record("stranger", "login.failed", address=address)
        return None
