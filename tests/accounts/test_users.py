"""Making tenants, users and administrators."""

from __future__ import annotations

import pytest

from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import AuditEvent, Membership, User
from dialer_platform.accounts.services import users
from dialer_platform.errors import Conflict, Invalid


def make(tenant, **options):
    """Make a user with sensible values."""
    values = {"username": "nora", "role": Role.VIEWER, "password": "correct horse battery"}
    return users.create_user(tenant=tenant, **(values | options))


def test_user_gets_role_and_audit_entry(tenant):
    user = make(tenant)
    assert user.memberships.get().role == Role.VIEWER
    assert user.check_password("correct horse battery")
    actions = set(AuditEvent.objects.values_list("action", flat=True))
    assert {"user.created", "membership.changed"} <= actions


def test_user_twice_is_a_conflict(tenant):
    make(tenant)
    with pytest.raises(Conflict) as caught:
        make(tenant)
    assert caught.value.code == "user_exists"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": ""}, "username"),
        ({"password": "12345678"}, "password"),
        ({"password": "short"}, "password"),
        ({"role": "owner"}, "role"),
    ],
)
def test_wrong_user_is_refused_with_the_field(tenant, options, field):
    with pytest.raises(Invalid) as caught:
        make(tenant, **options)
    assert field in caught.value.fields
    assert not User.objects.exists()


def test_tenant_id_comes_from_its_name(db):
    assert users.create_tenant(name=" Lab Two ").id == "lab-two"


@pytest.mark.parametrize(
    ("name", "error", "code"),
    [("!!", Invalid, "invalid"), ("Default", Conflict, "tenant_exists")],
)
def test_unusable_tenant_is_refused(tenant, name, error, code):
    with pytest.raises(error) as caught:
        users.create_tenant(name=name)
    assert caught.value.code == code


def test_last_administrator_keeps_the_role(tenant, admin_user):
    with pytest.raises(Conflict) as caught:
        users.set_role(user=admin_user, tenant=tenant, role=Role.VIEWER, by="test")
    assert caught.value.code == "last_administrator"
    assert Membership.objects.get(user=admin_user).role == Role.ADMIN


def test_administrator_may_step_down_when_there_is_another(tenant, admin_user, operator_user):
    users.set_role(user=operator_user, tenant=tenant, role=Role.ADMIN, by="test")
    users.set_role(user=admin_user, tenant=tenant, role=Role.VIEWER, by="test")
    assert Membership.objects.get(user=admin_user).role == Role.VIEWER


def test_first_administrator_is_made_once(tenant):
    first = users.create_first_administrator(username="admin", password="one two three")
    assert first is not None
    assert first.is_superuser
    assert first.memberships.get().role == Role.ADMIN
    assert users.create_first_administrator(username="admin", password="x") is None
    assert User.objects.get().check_password("one two three")


def test_random_passwords_differ_and_pass_the_rules(tenant):
    passwords = {users.random_password() for _ in range(3)}
    assert len(passwords) == 3
    make(tenant, password=passwords.pop())
