"""What each role may do: one table, asked by pages, API, admin actions and sockets alike.

Promises that an object of another tenant is never allowed and that a token never exceeds
its owner's role. An action that is not in the table is a programming error.
"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from dialer_platform.accounts.choices import Role, Scope
from dialer_platform.accounts.principal import Principal

RANKS: dict[str, int] = {Role.VIEWER: 1, Role.OPERATOR: 2, Role.ADMIN: 3}
SCOPE_RANKS: dict[str, int] = {Scope.READ: 1, Scope.OPERATE: 2, Scope.ADMIN: 3}

# The smallest role that may do it.
ACTIONS: dict[str, str] = {
    "overview.view": Role.VIEWER,
    "task.view": Role.VIEWER,
    "task.submit": Role.OPERATOR,
    "task.change": Role.OPERATOR,
    "task.cancel": Role.OPERATOR,
    "task.rerun": Role.OPERATOR,
    "file.view": Role.VIEWER,
    "file.write": Role.OPERATOR,
    "agent.view": Role.VIEWER,
    "agent.enrol": Role.ADMIN,
    "agent.drain": Role.ADMIN,
    "agent.pause": Role.ADMIN,
    "agent.resume": Role.ADMIN,
    "agent.revoke": Role.ADMIN,
    "agent.change": Role.ADMIN,
    "agent.upgrade": Role.ADMIN,
    "plugin.view": Role.VIEWER,
    "plugin.change": Role.ADMIN,
    "plugin.upload": Role.ADMIN,
    "probe.view": Role.VIEWER,
    "probe.create": Role.OPERATOR,
    "probe.change": Role.OPERATOR,
    "probe.delete": Role.OPERATOR,
    "probe.run": Role.OPERATOR,
    "template.view": Role.VIEWER,
    "template.use": Role.OPERATOR,
    "template.create": Role.ADMIN,
    "template.change": Role.ADMIN,
    "template.delete": Role.ADMIN,
    "template.manage": Role.ADMIN,
    "alert.view": Role.VIEWER,
    "alert.manage": Role.ADMIN,
    "token.own": Role.VIEWER,
    "user.manage": Role.ADMIN,
    "audit.view": Role.ADMIN,
}


def can(principal: Principal | None, action: str, obj: object | None = None) -> bool:
    """Tell whether the principal may do the action, on this object if one is given."""
    needed = ACTIONS.get(action)
    if needed is None:
        raise ImproperlyConfigured(f"No role is written down for the action {action!r}.")
    if principal is None or not owns(principal, obj):
        return False
    rank = RANKS[principal.role]
    if principal.token_scope is not None:
        rank = min(rank, SCOPE_RANKS[principal.token_scope])
    return rank >= RANKS[needed]


def owns(principal: Principal, obj: object | None) -> bool:
    """Tell whether the object, if it has a tenant, belongs to the principal's."""
    tenant_id = getattr(obj, "tenant_id", None)
    return tenant_id is None or tenant_id == principal.tenant_id
