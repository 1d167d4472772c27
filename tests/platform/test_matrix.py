"""Who may call what: every REST action by every role, on an own and on a foreign object.

Only the decision is looked at: 401, 403 and 404 refuse, everything else let the caller in.
"""

from __future__ import annotations

import re
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from agents.models import Agent, Rollout
from agents.plugins.models import PluginPackage
from dialer_platform.accounts.choices import Role
from dialer_platform.accounts.permissions import ACTIONS, RANKS
from dialer_platform.accounts.services import tokens
from tasks.alerts.models import Alert, Channel, Delivery, Rule
from tasks.models import StoredFile, Task
from tasks.probes.models import MaintenanceWindow, Probe, ProbeRunRequest
from templates_app.models import Template
from tests.platform.test_doors import ROUTES

pytestmark = pytest.mark.django_db(databases=list(settings.DATABASES))

REFUSED = {401, 403, 404}


def rest_actions() -> list[tuple[str, str, str, str]]:
    """Return (kind, path with {pk}, method, permission) of every view set's action."""
    found = []
    for path, entry in ROUTES:
        view = getattr(entry.callback, "cls", None)
        if not path.startswith("/api/v1/") or not hasattr(view, "actions"):
            continue
        kind = path.removeprefix("/api/v1/").partition("/1/")[0].strip("/")
        place = path.replace(f"/{kind}/1/", f"/{kind}/{{pk}}/")
        # Below a host a plug-in has a name, not a number; this one is offered everywhere.
        place = place.replace("/plugins/1/", "/plugins/cpu/")
        # A plain API view names its actions by method; a view set maps methods to them.
        by_method = getattr(entry.callback, "actions", None) or {
            name: name for name in view.actions
        }
        for method, action in by_method.items():
            if action in view.actions and method != "head":
                found.append((kind, place, method, view.actions[action]))
    return sorted(set(found))


CASES = rest_actions()
OBJECT_CASES = [case for case in CASES if "{pk}" in case[1]]
LIST_CASES = [case for case in CASES if "{pk}" not in case[1]]


def name(case: tuple[str, str, str, str]) -> str:
    """Return a readable id of a case."""
    return f"{case[2]} {case[1]}"


def test_the_walk_finds_every_kind_of_object():
    assert {case[0] for case in OBJECT_CASES} == set(MAKERS)
    assert {case[3] for case in CASES} <= set(ACTIONS)


def make_task(tenant, _user):
    return Task.objects.create(tenant=tenant, name="t", template_type="x", script_content="true")


def make_file(tenant, _user):
    return StoredFile.objects.create(tenant=tenant, name="f", expires_time=timezone.now())


def make_template(tenant, _user):
    return Template.objects.create(tenant=tenant, name=uuid4().hex, script_content="true")


def make_channel(tenant, _user):
    return Channel.objects.create(tenant=tenant, name=uuid4().hex, kind="webhook")


def make_rule(tenant, _user):
    return Rule.objects.create(tenant=tenant, name=uuid4().hex)


def make_alert(tenant, user):
    now = timezone.now()
    rule = make_rule(tenant, user)
    return Alert.objects.create(
        tenant=tenant, rule=rule, key="k", since=now, opened_at=now, told_at=now
    )


def make_delivery(tenant, user):
    channel, now = make_channel(tenant, user), timezone.now()
    return Delivery.objects.create(tenant=tenant, channel=channel, created_at=now, due_at=now)


def make_probe(tenant, _user):
    return Probe.objects.create(tenant=tenant, name="p", kind="http", target="http://127.0.0.1/")


def make_maintenance(tenant, _user):
    now = timezone.now()
    return MaintenanceWindow.objects.create(tenant=tenant, name="m", starts_at=now, ends_at=now)


def make_incident(tenant, user):
    return make_probe(tenant, user).incidents.create(tenant=tenant, started_at=timezone.now())


def make_package(tenant, _user):
    return PluginPackage.objects.create(
        tenant=tenant, name=uuid4().hex, version="1", sha256=uuid4().hex * 2, size_bytes=1
    )


def make_run_request(tenant, _user):
    agent = Agent.objects.create(tenant=tenant, name="a")
    return ProbeRunRequest.objects.create(
        tenant=tenant, agent=agent, task={}, expires_at=timezone.now()
    )


def make_rollout(tenant, _user):
    return Rollout.objects.create(tenant=tenant, version="1.0", stage_began_at=timezone.now())


MAKERS = {
    "tasks": make_task,
    "agents": lambda tenant, _user: Agent.objects.create(tenant=tenant, name="a"),
    "agents/rollouts": make_rollout,
    "plugins/packages": make_package,
    "files": make_file,
    "templates": make_template,
    "tokens": lambda tenant, user: tokens.create_token(user=user, tenant=tenant, by="test")[0],
    "probes": make_probe,
    "probes/runs": make_run_request,
    "probes/incidents": make_incident,
    "probes/maintenance": make_maintenance,
    "alerts": make_alert,
    "alerts/channels": make_channel,
    "alerts/rules": make_rule,
    "alerts/deliveries": make_delivery,
}

WITHOUT_OBJECTS = {"agents/releases", "errors", "probes/export"}
"""Lists that are the same for every tenant, and a file, whose tenants its own test keeps apart."""


def make(kind: str, tenant, user):
    """Make one object of a kind and return its key."""
    return MAKERS[kind](tenant, user).pk


def call(user, case, key="") -> int:
    """Return the status of the call; a broken body is fine, the door comes first."""
    client = APIClient()
    if user is not None:
        client.force_login(user)
    return getattr(client, case[2])(case[1].format(pk=key), {}, format="json").status_code


@pytest.fixture
def people(admin_user, operator_user, viewer_user):
    """Return one person per role."""
    return {Role.ADMIN: admin_user, Role.OPERATOR: operator_user, Role.VIEWER: viewer_user}


@pytest.mark.parametrize("case", OBJECT_CASES, ids=name)
def test_object_is_reached_by_the_roles_of_the_table(case, people, tenant):
    for role, user in people.items():
        status = call(user, case, make(case[0], tenant, user))
        allowed = RANKS[role] >= RANKS[ACTIONS[case[3]]]
        assert (status not in REFUSED) == allowed, (role, status)


@pytest.mark.parametrize("case", OBJECT_CASES, ids=name)
def test_foreign_object_looks_missing_to_everybody(case, people, stranger, other_tenant):
    key = make(case[0], other_tenant, stranger)
    for role, user in people.items():
        allowed = RANKS[role] >= RANKS[ACTIONS[case[3]]]
        assert call(user, case, key) == (404 if allowed else 403), role


@pytest.mark.parametrize("case", OBJECT_CASES, ids=name)
def test_missing_object_looks_like_a_foreign_one(case, admin_user):
    assert call(admin_user, case, "999999") == 404


@pytest.mark.parametrize("case", LIST_CASES, ids=name)
def test_collection_is_open_to_the_roles_of_the_table(case, people):
    for role, user in people.items():
        allowed = RANKS[role] >= RANKS[ACTIONS[case[3]]]
        assert (call(user, case) not in REFUSED) == allowed, role


@pytest.mark.parametrize("case", CASES, ids=name)
def test_stranger_without_credential_is_401(case, db):
    assert call(None, case, "1") == 401


READ_CASES = [case for case in LIST_CASES if case[2] == "get"]


def test_lists_without_objects_are_known():
    assert {case[0] for case in READ_CASES} - set(MAKERS) == WITHOUT_OBJECTS


@pytest.mark.parametrize("case", [c for c in READ_CASES if c[0] in MAKERS], ids=name)
def test_list_shows_nothing_of_another_tenant(case, api_client, admin_user, stranger, other_tenant):
    make(case[0], other_tenant, stranger)
    assert api_client(admin_user).get(case[1]).json()["count"] == 0
    assert api_client(stranger).get(case[1]).json()["count"] == 1


@pytest.mark.parametrize("case", [c for c in CASES if c[2] == "get"], ids=name)
def test_reading_changes_nothing(case, admin_user, tenant):
    key = make(case[0], tenant, admin_user) if "{pk}" in case[1] else ""
    client = APIClient()
    client.force_login(admin_user)
    with CaptureQueriesContext(connection) as captured:
        client.get(case[1].format(pk=key))
    assert not [q["sql"] for q in captured if re.match("INSERT|UPDATE|DELETE", q["sql"])]
