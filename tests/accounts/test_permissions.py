"""The role table: who may do what."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from dialer_platform.accounts.choices import Role, Scope
from dialer_platform.accounts.models import Tenant, User
from dialer_platform.accounts.permissions import ACTIONS, can
from dialer_platform.accounts.principal import Principal

VIEWER = {"overview.view", "task.view", "agent.view", "probe.view", "template.view", "token.own"}
VIEWER |= {"alert.view", "file.view", "plugin.view"}
OPERATOR = VIEWER | {"task.submit", "task.change", "task.cancel", "task.rerun", "template.use"}
OPERATOR |= {"probe.create", "probe.change", "probe.delete", "probe.run"}
OPERATOR |= {"file.write"}


def someone(role: Role, scope: Scope | None = None) -> Principal:
    """Return a principal that needs no database."""
    return Principal(User(username="x"), Tenant(id="default"), role, scope)


def allowed(principal: Principal) -> set[str]:
    """Return everything the principal may do."""
    return {action for action in ACTIONS if can(principal, action)}


def test_viewer_only_sees():
    assert allowed(someone(Role.VIEWER)) == VIEWER


def test_operator_works_but_does_not_manage():
    assert allowed(someone(Role.OPERATOR)) == OPERATOR


def test_admin_may_everything_in_the_tenant():
    assert allowed(someone(Role.ADMIN)) == set(ACTIONS)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [(Scope.READ, VIEWER), (Scope.OPERATE, OPERATOR), (Scope.ADMIN, set(ACTIONS))],
)
def test_scope_narrows_an_admin_when_the_token_has_one(scope, expected):
    assert allowed(someone(Role.ADMIN, scope)) == expected


def test_scope_never_lifts_the_owners_role():
    assert allowed(someone(Role.VIEWER, Scope.ADMIN)) == VIEWER


def test_nobody_may_nothing():
    assert not any(can(None, action) for action in ACTIONS)


def test_foreign_object_is_refused_even_to_an_admin():
    foreign = User(username="thing")
    foreign.tenant_id = "other"
    assert not can(someone(Role.ADMIN), "task.view", foreign)


def test_own_object_is_allowed():
    own = User(username="thing")
    own.tenant_id = "default"
    assert can(someone(Role.VIEWER), "task.view", own)


def test_unknown_action_is_a_programming_error():
    with pytest.raises(ImproperlyConfigured):
        can(someone(Role.ADMIN), "task.explode")
