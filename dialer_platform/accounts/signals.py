"""Writes the audit trail of signing in and out, which Django does for us."""

from __future__ import annotations

import time
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.http import HttpRequest

from dialer_platform.accounts.address import client_address
from dialer_platform.accounts.models import User
from dialer_platform.accounts.services import audit
from dialer_platform.accounts.sessions import begin


def connect() -> None:
    """Listen to Django's signals; doing it twice is harmless."""
    user_logged_in.connect(record_login, dispatch_uid="audit-login")
    user_logged_out.connect(record_logout, dispatch_uid="audit-logout")


def record_login(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    """Record who signed in from where, and start the session's clocks."""
    begin(request.session, time.time())
    audit.record(user.get_username(), "login", user, address=client_address(request))


def record_logout(sender: object, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    """Record who signed out."""
    if user is not None:
        audit.record(user.get_username(), "logout", user, address=client_address(request))
