"""Who is acting: a person in one tenant with one role, perhaps narrowed by a token.

Owns how a user and a wanted tenant become a principal. Promises that a role is read from
the database each time; never trusts a tenant or role named by the client.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.translation import gettext as _
from rest_framework.request import Request

from dialer_platform.accounts.choices import Role, Scope
from dialer_platform.accounts.models import Membership, Tenant, User
from dialer_platform.accounts.models.tenant import DEFAULT_TENANT_ID
from dialer_platform.errors import Unauthenticated


@dataclass(frozen=True, slots=True)
class Principal:
    """A person acting in one tenant; `token_scope` is None for a browser session."""

    user: User
    tenant: Tenant
    role: str
    token_scope: str | None = None
    address: str = ""

    @property
    def tenant_id(self) -> str:
        """Return the id of the tenant everything happens in."""
        return self.tenant.id

    @property
    def name(self) -> str:
        """Return the name that audit entries and pages show."""
        return self.user.get_username()


def principal_for(
    user: User,
    *,
    tenant_id: str | None = None,
    token_scope: Scope | str | None = None,
    address: str = "",
) -> Principal | None:
    """Return the user's principal in the wanted tenant, by default in the first one.

    None when the user is disabled or belongs to no tenant, or not to the wanted one. A
    superuser is an administrator everywhere, by default in the default tenant.
    """
    if not user.is_active:
        return None
    found = _superuser_role(user, tenant_id) if user.is_superuser else _member_role(user, tenant_id)
    if found is None:
        return None
    tenant, role = found
    return Principal(user, tenant, role, token_scope, address)


def principal_of(request: HttpRequest | Request) -> Principal:
    """Return the principal of a request; raises Unauthenticated when there is none."""
    principal = getattr(request, "principal", None)
    if not isinstance(principal, Principal):
        raise Unauthenticated(_("Sign in or send a valid token."))
    return principal


def _superuser_role(user: User, tenant_id: str | None) -> tuple[Tenant, str] | None:
    """Return the tenant a superuser asked for, else their first one, else the default one."""
    if tenant_id is None:
        first = _member_role(user, None)
        tenant_id = first[0].id if first else DEFAULT_TENANT_ID
    tenant = Tenant.objects.filter(id=tenant_id).first()
    return (tenant, Role.ADMIN) if tenant else None


def _member_role(user: User, tenant_id: str | None) -> tuple[Tenant, str] | None:
    """Return the tenant and role of a membership, the oldest when no tenant is named."""
    memberships = Membership.objects.filter(user=user).select_related("tenant").order_by("id")
    if tenant_id is not None:
        memberships = memberships.filter(tenant_id=tenant_id)
    membership = memberships.first()
    return (membership.tenant, membership.role) if membership else None
