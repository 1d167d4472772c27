"""The admin of plug-ins: its actions and its form are the services, with their audit."""

from __future__ import annotations

import json

import pytest

from agents.plugins import wanted
from agents.plugins.models import AgentPlugin
from agents.plugins.services import Change, set_plugin
from agents.services.main_agents import revoke_agent
from dialer_platform.accounts.models import AuditEvent

pytestmark = pytest.mark.django_db(databases="__all__")

LIST = "/admin/agent_plugins/agentplugin/"


@pytest.fixture
def client(page_client, superuser):
    """Return the browser of the installation's owner."""
    return page_client(superuser)


@pytest.fixture
def row(agent) -> AgentPlugin:
    """Return a plug-in of a host."""
    return set_plugin(agent, "cpu", by="t", change=Change(config={"token": "secret-value"}))


def act(client, action: str, *rows: AgentPlugin):
    """Run an action on rows and return the page that follows."""
    body = {"action": action, "_selected_action": [row.pk for row in rows]}
    return client.post(LIST, body, follow=True)


def save(client, row: AgentPlugin, **changes: object):
    """Send the form of a plug-in with some changes and return the page that follows."""
    body = {"enabled": "on", "interval_seconds": "10", "package": "", "config": "{}"}
    return client.post(f"{LIST}{row.pk}/change/", body | changes, follow=True)


@pytest.mark.parametrize("name", ["agentplugin", "pluginpackage", "pluginreport"])
def test_list_opens_and_shows_no_configuration(client, row, name):
    answer = client.get(f"/admin/agent_plugins/{name}/")
    assert answer.status_code == 200
    assert "secret-value" not in answer.content.decode()


@pytest.mark.parametrize(("action", "enabled"), [("disable", False), ("enable", True)])
def test_action_switches_and_the_host_hears_of_it(
    client, row, agent, action, enabled, django_capture_on_commit_callbacks
):
    AgentPlugin.objects.update(enabled=not enabled)
    with django_capture_on_commit_callbacks(execute=True):
        act(client, action, row)
    row.refresh_from_db()
    assert (row.enabled, row.config, row.updated_by) == (enabled, {"token": "secret-value"}, "root")
    assert ("cpu" in wanted.duty(agent.id).names) == enabled
    entry = AuditEvent.objects.filter(action="plugin.change").latest("id")
    assert (entry.actor, entry.detail) == ("root", {"plugin": "cpu", "enabled": enabled})


def test_remove_is_audited_and_forgets_the_plugin(client, row):
    act(client, "remove", row)
    assert not AgentPlugin.objects.exists()
    assert AuditEvent.objects.get(action="plugin.remove").actor == "root"


def test_refused_action_says_why(client, row, agent):
    revoke_agent(agent, by="x")
    assert "The agent was revoked." in act(client, "disable", row).content.decode()


def test_form_changes_by_the_service(client, row):
    assert "secret-value" in client.get(f"{LIST}{row.pk}/change/").content.decode()
    save(client, row, interval_seconds="30", config=json.dumps({"per_core": True}))
    row.refresh_from_db()
    assert (row.interval_seconds, row.config, row.name) == (30.0, {"per_core": True}, "cpu")
    detail = AuditEvent.objects.filter(action="plugin.change").latest("id").detail
    assert detail["config"] == ["per_core"]


@pytest.mark.parametrize(
    "changes",
    [
        {"interval_seconds": "0"},
        {"config": "["},
        {"config": "[]"},
        {"config": json.dumps({"x": "y" * 40_000})},
        {"package": "77"},
    ],
)
def test_form_shows_what_is_wrong_and_changes_nothing(client, row, changes):
    assert "errorlist" in save(client, row, **changes).content.decode()
    row.refresh_from_db()
    assert row.config == {"token": "secret-value"}


def test_form_says_what_the_service_refuses(client, row, agent):
    revoke_agent(agent, by="x")
    assert "The agent was revoked." in save(client, row, interval_seconds="30").content.decode()
    row.refresh_from_db()
    assert row.interval_seconds == 10.0


def test_emptied_configuration_is_none_at_all(client, row):
    save(client, row, config="")
    row.refresh_from_db()
    assert row.config == {}


def test_administrator_of_a_tenant_has_no_admin(page_client, admin_user, row):
    client = page_client(admin_user)
    act(client, "remove", row)
    assert AgentPlugin.objects.exists()
