"""REST of probes: contract, validation, roles, two tenants."""

from __future__ import annotations

import pytest

from dialer_platform.accounts.principal import principal_for
from tasks.probes.models import Probe, ProbeQuota, ProbeRunRequest
from tasks.probes.services.probes import create_probe
from tests.tasks.probes.conftest import FIELDS, bring, result

URL = "/api/v1/probes/"


@pytest.fixture
def client(api_client, operator_user):
    """Return an operator's REST client."""
    return api_client(operator_user)


@pytest.fixture
def foreign(stranger) -> Probe:
    """Return a probe of another tenant."""
    return create_probe(principal=principal_for(stranger), fields=FIELDS)


def test_probe_is_made_with_defaults(client):
    answer = client.post(URL, FIELDS, format="json")
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["state"], shown["enabled"], shown["version"]) == ("pending", True, 1)
    assert (shown["tenant"], shown["created_by"]) == ("default", "oscar")
    assert shown["push_token"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", "x" * 201),
        ("name", "a\x00b"),
        ("kind", "telepathy"),
        ("target", None),
        ("target", 7),
        ("interval", 0),
        ("interval", "often"),
        ("interval", True),
        ("timeout", -1),
        ("timeout", "NaN"),
        ("timeout", 1e300),
        ("config", []),
        ("labels", {"x": 7}),
        ("tags", "x"),
        ("policy", "perhaps"),
        ("fail_threshold", 0),
        ("parents", ["x"]),
        ("enabled", "perhaps"),
    ],
)
def test_wrong_field_is_named(client, field, value):
    answer = client.post(URL, {**FIELDS, field: value}, format="json")
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert field in answer.json()["fields"]


def test_configuration_is_checked_by_its_kind(client):
    answer = client.post(URL, {**FIELDS, "config": {"method": 7}}, format="json")
    assert answer.status_code == 400
    assert any(name.startswith("config") for name in answer.json()["fields"])


def test_unknown_agent_is_not_found(client):
    answer = client.post(URL, {**FIELDS, "agents": ["a-none"]}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (404, "agent_not_found")


def test_agent_of_another_tenant_is_not_found(client, new_agent, other_tenant):
    theirs = new_agent("theirs", tenant_id=other_tenant.pk)
    assert client.post(URL, {**FIELDS, "agents": [theirs.pk]}, format="json").status_code == 404


def test_change_bumps_the_version_and_saving_the_same_does_not(client, probe):
    changed = client.patch(f"{URL}{probe.pk}/", {"interval": 120}, format="json").json()
    assert (changed["interval"], changed["version"]) == (120, 2)
    same = client.put(f"{URL}{probe.pk}/", {**FIELDS, "interval": 120}, format="json").json()
    assert same["version"] == 2


def test_kind_cannot_be_changed(client, probe):
    answer = client.patch(f"{URL}{probe.pk}/", {"kind": "tcp"}, format="json")
    assert "kind" in answer.json()["fields"]


def test_pause_and_resume(client, probe):
    paused = client.patch(f"{URL}{probe.pk}/", {"enabled": False}, format="json").json()
    resumed = client.patch(f"{URL}{probe.pk}/", {"enabled": True}, format="json").json()
    assert (paused["state"], resumed["state"]) == ("paused", "pending")


def test_probe_is_deleted(client, probe):
    assert client.delete(f"{URL}{probe.pk}/").status_code == 204
    assert client.get(f"{URL}{probe.pk}/").status_code == 404


def test_quota_of_the_tenant_is_kept(client, tenant, probe):
    ProbeQuota.objects.create(tenant=tenant, max_probes=1)
    answer = client.post(URL, FIELDS, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "probe_quota")


@pytest.mark.parametrize("path", ["", "results/"])
def test_foreign_probe_cannot_be_read(client, foreign, path):
    assert client.get(f"{URL}{foreign.pk}/{path}").status_code == 404


def test_foreign_probe_can_neither_be_changed_nor_run_nor_be_a_parent(client, foreign, probe):
    assert client.patch(f"{URL}{foreign.pk}/", {"name": "x"}, format="json").status_code == 404
    assert client.post(f"{URL}{foreign.pk}/run/", {}, format="json").status_code == 404
    answer = client.patch(f"{URL}{probe.pk}/", {"parents": [foreign.pk]}, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["parents"])


def test_list_shows_own_probes_only(client, probe, foreign):
    assert [one["id"] for one in client.get(URL).json()["results"]] == [probe.pk]


def test_list_is_filtered(client, new_probe):
    new_probe(name="alpha"), new_probe(name="beta", target="http://gamma/")
    found = {
        key: client.get(f"{URL}?{key}").json()["count"] for key in ("q=alp", "q=gamma", "kind=tcp")
    }
    assert found == {"q=alp": 1, "q=gamma": 1, "kind=tcp": 0}


def test_viewer_reads_but_does_not_write(api_client, viewer_user, probe):
    client = api_client(viewer_user)
    assert client.get(f"{URL}{probe.pk}/").status_code == 200
    assert client.post(URL, FIELDS, format="json").status_code == 403


def test_circle_of_parents_is_refused(client, new_probe):
    top = new_probe()
    middle = new_probe(parents=[top.pk])
    low = new_probe(parents=[middle.pk])
    answer = client.patch(f"{URL}{top.pk}/", {"parents": [low.pk]}, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["parents"])


def test_results_are_listed_newest_first_and_by_agent(client, agent, new_agent, probe):
    other = new_agent("other")
    bring(agent, result(probe), result(probe, "down", error="refused"))
    bring(other, result(probe))
    shown = client.get(f"{URL}{probe.pk}/results/?agent_id={agent.pk}").json()
    assert (shown["count"], shown["results"][0]["error"]) == (2, "refused")


@pytest.mark.parametrize("query", ["since=x", "since=99999999999999", "limit=0", "limit=x"])
def test_wrong_parameter_is_named(client, probe, query):
    answer = client.get(f"{URL}{probe.pk}/results/?{query}")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [query.partition("=")[0]])


def test_results_since_a_moment(client, agent, probe):
    old = result(probe)
    bring(agent, result(probe, started_at=old.started_at - 100), old)
    query = f"?since={old.started_at - 50:.3f}"
    assert client.get(f"{URL}{probe.pk}/results/{query}").json()["count"] == 1


def test_run_now_is_asked_of_an_agent_and_answered(client, agent, probe):
    asked = client.post(f"{URL}{probe.pk}/run/", {}, format="json")
    assert (asked.status_code, asked.json()["agent_id"]) == (202, agent.pk)
    name = asked.json()["request_id"]
    bring(agent, result(probe, request_id=name, phases={"dns": 0.25}))
    answered = client.get(f"{URL}runs/{name}/").json()
    assert answered["result"]["phases"] == {"dns": 0.25}
    assert client.get(f"{URL}{probe.pk}/results/").json()["count"] == 0


def test_unsaved_probe_is_tried(client, agent):
    trial = {"kind": "tcp", "target": "127.0.0.1:1"}
    asked = client.post(f"{URL}test/", trial, format="json")
    assert (asked.status_code, asked.json()["probe_id"]) == (202, None)
    assert client.post(f"{URL}test/", {"kind": "tcp"}, format="json").status_code == 400


def test_run_without_an_online_agent_is_a_conflict(client, probe):
    answer = client.post(f"{URL}{probe.pk}/run/", {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_agent_online")


def test_answer_of_another_agent_changes_no_request(client, agent, new_agent, probe):
    name = client.post(f"{URL}{probe.pk}/run/", {"agent_id": agent.pk}, format="json").json()
    bring(new_agent("other"), result(probe, request_id=name["request_id"]))
    assert ProbeRunRequest.objects.get().result is None
