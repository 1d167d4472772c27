"""How a user and a tenant become a principal."""

from __future__ import annotations

import pytest
from django.test import RequestFactory

from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.models import Membership
from dialer_platform.accounts.principal import principal_for, principal_of
from dialer_platform.errors import Unauthenticated


def test_member_acts_in_their_first_tenant(operator_user):
    found = principal_for(operator_user)
    assert found is not None
    assert (found.tenant_id, found.role, found.name) == ("default", Role.OPERATOR, "oscar")


def test_member_acts_in_the_wanted_tenant_when_they_belong_there(operator_user, other_tenant):
    Membership.objects.create(user=operator_user, tenant=other_tenant, role=Role.VIEWER)
    found = principal_for(operator_user, tenant_id="other")
    assert found is not None
    assert (found.tenant_id, found.role) == ("other", Role.VIEWER)


def test_nobody_acts_in_a_foreign_tenant(operator_user, other_tenant):
    assert principal_for(operator_user, tenant_id="other") is None


def test_disabled_user_is_nobody(operator_user):
    operator_user.is_active = False
    assert principal_for(operator_user) is None


def test_user_without_tenant_is_nobody(operator_user):
    operator_user.memberships.all().delete()
    assert principal_for(operator_user) is None


@pytest.mark.parametrize("tenant_id", [None, "default", "other"])
def test_superuser_is_admin_in_every_tenant(superuser, other_tenant, tenant_id):
    found = principal_for(superuser, tenant_id=tenant_id)
    assert found is not None
    assert (found.tenant_id, found.role) == (tenant_id or "default", Role.ADMIN)


def test_superuser_is_nobody_in_a_tenant_that_is_not_there(superuser):
    assert principal_for(superuser, tenant_id="nowhere") is None


def test_principal_of_raises_when_nobody_is_signed_in():
    with pytest.raises(Unauthenticated):
        principal_of(RequestFactory().get("/"))
