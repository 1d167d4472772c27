"""The admin of hosts: readable, searchable, its actions are the services."""

from __future__ import annotations

import pytest

from agents.models import Agent, EnrolmentToken
from agents.services.enrolment import create_enrolment_token
from agents.services.main_agents import revoke_agent

pytestmark = pytest.mark.django_db

AGENTS = "/admin/agents/agent/"
TOKENS = "/admin/agents/enrolmenttoken/"


@pytest.fixture
def client(page_client, superuser):
    return page_client(superuser)


def act(client, url: str, action: str, *ids: object, **more: str):
    """Run an action on rows and return the page that follows."""
    return client.post(url, {"action": action, "_selected_action": ids, **more}, follow=True)


@pytest.mark.parametrize("query", ["", "?q=worker", "?credential=valid", "?status=online"])
def test_list_opens(client, agent, query):
    assert client.get(f"{AGENTS}{query}").status_code == 200


def test_credential_filter_tells_revoked_hosts_apart(client, agent, enrol):
    revoke_agent(enrol("gone")[0], by="x")
    text = client.get(f"{AGENTS}?credential=revoked").content.decode()
    assert "gone" in text
    assert agent.id not in text


def test_machine_written_fields_are_read_only(client, agent):
    page = client.get(f"{AGENTS}{agent.id}/change/").content.decode()
    assert 'name="name"' in page
    assert 'name="status"' not in page
    assert agent.token_sha256 not in page


@pytest.mark.parametrize(
    ("action", "column"),
    [("drain", "is_draining"), ("pause", "is_paused"), ("revoke", "revoked_at")],
)
def test_action_calls_the_service(client, agent, action, column):
    act(client, AGENTS, action, agent.id)
    agent.refresh_from_db()
    assert getattr(agent, column)


def test_action_takes_the_reason_beside_it(client, agent):
    act(client, AGENTS, "pause", agent.id, reason="new disk")
    agent.refresh_from_db()
    assert (agent.is_paused, agent.drain_reason) == (True, "new disk")


def test_resume_takes_tasks_again(client, agent):
    Agent.objects.update(is_draining=True)
    act(client, AGENTS, "resume", agent.id)
    assert not Agent.objects.get().is_draining


def test_refused_action_says_why(client, agent):
    revoke_agent(agent, by="x")
    page = act(client, AGENTS, "drain", agent.id).content.decode()
    assert "The agent was revoked." in page


def test_hosts_are_neither_added_nor_deleted_by_hand(client, agent):
    assert client.get(f"{AGENTS}add/").status_code == 403
    assert client.post(f"{AGENTS}{agent.id}/delete/").status_code == 403


def test_new_token_is_shown_once(client, tenant):
    token, _ = create_enrolment_token(actor="x", tenant=tenant)
    page = act(client, TOKENS, "new_token", token.id).content.decode()
    assert "dpe_" in page
    assert EnrolmentToken.objects.count() == 2


def test_labels_are_changed_as_on_the_page(client, agent):
    Agent.objects.update(host_labels={"zone": "lab"}, labels={"zone": "lab"})
    fields = {"name": "gpu-1", "given_labels": '{"gpu": "a100"}'}
    client.post(f"{AGENTS}{agent.id}/change/", fields)
    agent.refresh_from_db()
    assert (agent.name, agent.labels) == ("gpu-1", {"gpu": "a100", "zone": "lab"})


@pytest.mark.parametrize("labels", ['{"gpu": 5}', "[1]"])
def test_wrong_labels_are_refused(client, agent, labels):
    fields = {"name": "gpu-1", "given_labels": labels}
    assert client.post(f"{AGENTS}{agent.id}/change/", fields).status_code == 200
    agent.refresh_from_db()
    assert agent.name == "worker"


def test_refused_change_is_not_called_a_success(client, agent):
    revoke_agent(agent, by="x")
    fields = {"name": "gpu-1", "given_labels": "{}"}
    page = client.post(f"{AGENTS}{agent.id}/change/", fields, follow=True).content.decode()
    assert "The agent was revoked." in page
    assert "successfully" not in page
