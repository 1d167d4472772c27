"""Who a browser session stands for: its user in the tenant chosen last."""

from __future__ import annotations

from django.http import HttpRequest

from dialer_platform.accounts.address import client_address
from dialer_platform.accounts.principal import Principal, principal_for

SESSION_TENANT_KEY = "tenant_id"


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
