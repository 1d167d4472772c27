"""Makes tenants, users and memberships; an administrator by command line only."""

from __future__ import annotations

import secrets as random

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.utils.text import slugify
from django.utils.translation import gettext as _

from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import Membership, Tenant, User
from dialer_platform.accounts.models.tenant import DEFAULT_TENANT_ID
from dialer_platform.accounts.principal import Principal
from dialer_platform.accounts.services import audit
from dialer_platform.errors import Conflict, Invalid
from dialer_platform.storage import write_transaction

PASSWORD_BYTES = 15
COMMAND_LINE = "command line"


def random_password() -> str:
    """Return a password nobody has to invent: 120 bits, easy to copy."""
    return random.token_urlsafe(PASSWORD_BYTES)


def create_tenant(*, name: str, by: Principal | str = COMMAND_LINE) -> Tenant:
    """Return a new tenant whose id comes from its name; raises Invalid or Conflict."""
    name = name.strip()
    tenant_id = slugify(name)[:64]
    if not tenant_id:
        raise Invalid(_("The name needs a letter or digit."), fields={"name": [_("Not usable.")]})
    with write_transaction():
        tenant, is_new = Tenant.objects.get_or_create(id=tenant_id, defaults={"name": name[:200]})
        if not is_new:
            raise Conflict(
                _("There is a tenant “%(name)s” already.") % {"name": tenant_id},
                code="tenant_exists",
            )
        audit.record(by, "tenant.created", tenant, tenant_id=tenant.id)
    return tenant


def create_user(
    *,
    username: str,
    tenant: Tenant,
    role: str,
    password: str,
    by: Principal | str = COMMAND_LINE,
) -> User:
    """Return a new user with one role in one tenant; raises Invalid or Conflict."""
    user = User(username=username)
    _require_valid(user, password)
    with write_transaction():
        if User.objects.filter(username=username).exists():
            raise Conflict(
                _("There is a user “%(name)s” already.") % {"name": username}, code="user_exists"
            )
        user.set_password(password)
        user.save()
        set_role(user=user, tenant=tenant, role=role, by=by)
        audit.record(by, "user.created", user, tenant_id=tenant.id)
    return user


def set_role(*, user: User, tenant: Tenant, role: str, by: Principal | str) -> Membership:
    """Give a user a role in a tenant; raises Conflict if nobody could administer it then."""
    if role not in Role.values:
        raise Invalid(
            _("“%(name)s” is not a role.") % {"name": role},
            fields={"role": [", ".join(Role.values)]},
        )
    with write_transaction():
        if role != Role.ADMIN:
            _require_another_admin(user=user, tenant=tenant)
        membership, _is_new = Membership.objects.update_or_create(
            user=user, tenant=tenant, defaults={"role": role}
        )
        detail = {"user": user.get_username(), "role": role}
        audit.record(by, "membership.changed", membership, detail)
    return membership


def create_first_administrator(*, username: str, password: str) -> User | None:
    """Return the new owner of the installation, or None when there is one already."""
    with write_transaction():
        if User.objects.filter(is_superuser=True, is_active=True).exists():
            return None
        user = User.objects.filter(username=username).first() or User(username=username)
        user.is_superuser = user.is_staff = user.is_active = True
        user.set_password(password)
        user.save()
        tenant = Tenant.objects.get(id=DEFAULT_TENANT_ID)
        set_role(user=user, tenant=tenant, role=Role.ADMIN, by=COMMAND_LINE)
        audit.record(COMMAND_LINE, "administrator.created", user, tenant_id=tenant.id)
    return user


def _require_another_admin(*, user: User, tenant: Tenant) -> None:
    """Keep the last administrator of a tenant from losing the role by accident."""
    admins = Membership.objects.filter(tenant=tenant, role=Role.ADMIN)
    is_admin = admins.filter(user=user).exists()
    if is_admin and not admins.exclude(user=user).exists():
        raise Conflict(_("A tenant needs an administrator."), code="last_administrator")


def _require_valid(user: User, password: str) -> None:
    """Check name and password by the installation's rules; raises Invalid."""
    fields: dict[str, list[str]] = {}
    try:
        user.clean_fields(exclude=["password"])
    except ValidationError as error:
        fields = {name: list(lines) for name, lines in error.message_dict.items()}
    try:
        validate_password(password, user)
    except ValidationError as error:
        fields["password"] = list(error.messages)
    if fields:
        raise Invalid(next(iter(fields.values()))[0], fields=fields)
