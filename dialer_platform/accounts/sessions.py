"""Who a browser session stands for, and for how long: its user in the tenant chosen last.

Promises that a session ends LIFE_SECONDS after signing in, however it is used, and
IDLE_SECONDS after the last thing its person did.
"""

from __future__ import annotations

import time

from django.contrib.auth import logout
from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest

from dialer_platform.accounts.address import client_address
from dialer_platform.accounts.principal import Principal, principal_for

SESSION_TENANT_KEY = "tenant_id"
SIGNED_IN_KEY = "signed_in_at"
USED_KEY = "used_at"
LIFE_SECONDS = 7 * 24 * 3600.0
IDLE_SECONDS = 12 * 3600.0
NOTED_SECONDS = 300.0
"""How exactly the last use is known: a page view costs a write only that often."""


def begin(session: SessionBase, now: float) -> None:
    """Start the clocks of a session."""
    session[SIGNED_IN_KEY] = session[USED_KEY] = now


def is_over(session: SessionBase, now: float) -> bool:
    """Tell whether a session is too old or was left alone for too long."""
    signed_in_at, used_at = session.get(SIGNED_IN_KEY), session.get(USED_KEY)
    if signed_in_at is None or used_at is None:
        return False  # begun before these clocks were kept; the next request starts them
    return bool(now - signed_in_at > LIFE_SECONDS or now - used_at > IDLE_SECONDS)


def note_use(session: SessionBase, now: float) -> None:
    """Remember that the person did something."""
    if SIGNED_IN_KEY not in session:
        begin(session, now)
    elif now - session.get(USED_KEY, 0.0) > NOTED_SECONDS:
        session[USED_KEY] = now


def end_or_prolong(request: HttpRequest) -> None:
    """Sign out a session that is over, else note its use; a page refreshing itself is none."""
    now = time.time()
    if is_over(request.session, now):
        logout(request)
    elif "X-Fragment-Version" not in request.headers:
        note_use(request.session, now)


def session_principal(request: HttpRequest) -> Principal | None:
    """Return the principal of a session: in the chosen tenant, else in the first one."""
    user = request.user
    if not user.is_authenticated:
        return None
    address = client_address(request)
    chosen = request.session.get(SESSION_TENANT_KEY)
    if chosen:
        principal = principal_for(user, tenant_id=str(chosen), address=address)
        if principal is not None:
            return principal
    return principal_for(user, address=address)
