"""REST of hosts: shapes, roles, tenants, verbs."""

from __future__ import annotations

import pytest

from agent_client.protocol.messages import Gpu, Progress, Resources, SubAgent, ThreadPool
from agents import hot
from agents.models import Agent, EnrolmentToken
from agents.services.sub_agents import open_sub_agent
from dialer_platform.accounts.models import AuditEvent
from tests.agents import wire

pytestmark = pytest.mark.django_db

LIST = "/api/v1/agents/"
HOST_KEYS = {
    "id",
    "name",
    "type",
    "status",
    "created_time",
    "last_heartbeat_time",
    "running_time",
    "cpu_cores",
    "cpu_usage",
    "memory_usage",
    "gpu_info",
    "task_id",
    "main_agent_id",
    "available_cpu_cores",
    "monitor_file",
}
GPU_KEYS = {
    "uuid",
    "index",
    "name",
    "utilization",
    "memory_used",
    "memory_total",
    "tasks",
    "foreign",
}


@pytest.fixture
def client(api_client, admin_user):
    return api_client(admin_user)


def test_host_has_every_named_field(client, agent, speaker):
    hot.note_beat(speaker, wire.beat(agent.id, gpus=(Gpu(uuid="GPU-1", index=0),)))
    host = client.get(f"{LIST}{agent.id}/").json()
    assert set(host) >= HOST_KEYS
    assert set(host["gpu_info"][0]) == GPU_KEYS
    assert host["sub_agents"] == []


def test_live_figures_come_from_memory(client, agent, speaker):
    Agent.objects.update(cpu_cores=8)
    resources = Resources(cpu_usage=33.0, memory_usage=44.0, cpu_cores_booked=3)
    hot.note_beat(
        speaker, wire.beat(agent.id, resources=resources, thread_pool=ThreadPool(max_workers=7))
    )
    host = client.get(LIST).json()["results"][0]
    assert (host["cpu_usage"], host["memory_usage"]) == (33.0, 44.0)
    assert (host["cpu_cores"], host["available_cpu_cores"]) == (8, 5)
    assert host["thread_pool"]["max_workers"] == 7


def test_sub_agents_are_nested_with_their_samples(client, agent, speaker):
    open_sub_agent(agent.id, 7, "train")
    sample = SubAgent(task_id=7, offer=1, cpu_usage=99.0, progress=Progress(percent=40.0))
    hot.note_beat(speaker, wire.beat(agent.id, sub_agents=(sample,)))
    (sub,) = client.get(f"{LIST}{agent.id}/").json()["sub_agents"]
    assert (sub["task_id"], sub["main_agent_id"], sub["type"]) == (7, agent.id, "sub")
    assert (sub["cpu_usage"], sub["progress"]["percent"]) == (99.0, 40.0)


def test_list_is_paged_newest_first(client, enrol):
    ids = [enrol(f"host-{n}")[0].id for n in range(3)]
    page = client.get(LIST, {"page_size": 2}).json()
    assert page["count"] == 3
    assert [host["id"] for host in page["results"]] == ids[:0:-1]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"name": "GPU"}, 1),
        ({"status": "online"}, 1),
        ({"draining": "true"}, 1),
        ({"revoked": "true"}, 1),
        ({"name": "gpu", "status": "offline"}, 0),
        ({}, 3),
    ],
)
def test_filters_combine(client, enrol, query, found):
    enrol("gpu-1", status="online")
    enrol("cpu-1", is_draining=True)
    enrol("cpu-2")
    enrol("old", revoked_at="2026-01-01T00:00Z")
    assert client.get(LIST, query).json()["count"] == found


def test_unknown_status_is_400_with_the_field(client):
    answer = client.get(LIST, {"status": "asleep"})
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["status"])


def test_queries_do_not_grow_with_the_hosts(client, enrol, django_assert_max_num_queries):
    for number in range(20):
        agent, _ = enrol(f"host-{number}")
        open_sub_agent(agent.id, number, "t")
    with django_assert_max_num_queries(9):
        client.get(LIST)


# --- verbs --------------------------------------------------------------------


def test_drain_and_resume(client, agent):
    drained = client.post(f"{LIST}{agent.id}/drain/", {"reason": "disk"}, format="json")
    assert (drained.status_code, drained.json()["is_draining"]) == (200, True)
    assert drained.json()["drain_reason"] == "disk"
    back = {"reason": "mended"}
    assert not client.post(f"{LIST}{agent.id}/resume/", back, format="json").json()["is_draining"]
    assert AuditEvent.objects.get(action="agent.resume").detail == back


def test_pause(client, agent):
    paused = client.post(f"{LIST}{agent.id}/pause/", {"reason": "disk"}, format="json").json()
    facts = (paused["is_draining"], paused["is_paused"], paused["drain_reason"])
    assert facts == (True, True, "disk")
    assert client.get(f"{LIST}?paused=false").json()["count"] == 0
    assert not client.post(f"{LIST}{agent.id}/resume/").json()["is_paused"]


def test_reason_that_is_too_long_is_refused(client, agent):
    answer = client.post(f"{LIST}{agent.id}/pause/", {"reason": "x" * 201}, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["reason"])


def test_revoked_host_is_found_by_id_and_not_in_the_list(client, agent):
    assert client.post(f"{LIST}{agent.id}/revoke/").json()["revoked_at"]
    assert client.get(LIST).json()["count"] == 0
    assert client.get(f"{LIST}{agent.id}/").status_code == 200
    assert client.post(f"{LIST}{agent.id}/revoke/").status_code == 409


def test_enrolment_token_is_shown_once_with_its_command(client):
    answer = client.post(f"{LIST}enroll/", {"labels": {"a": "b"}}, format="json")
    assert answer.status_code == 201
    token = answer.json()["token"]
    assert token.startswith("dpe_")
    assert answer.json()["command"].startswith(f"DIALER_ENROLL_TOKEN={token} python3 ")
    assert EnrolmentToken.objects.get().labels == {"a": "b"}


def test_wrong_bounds_of_an_enrolment_are_named(client):
    answer = client.post(f"{LIST}enroll/", {"max_uses": 0}, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["max_uses"])


@pytest.mark.parametrize("verb", ["drain", "resume", "revoke"])
def test_verbs_are_for_administrators(api_client, operator_user, agent, verb):
    answer = api_client(operator_user).post(f"{LIST}{agent.id}/{verb}/")
    assert answer.status_code == 403


def test_enrolment_is_for_administrators(api_client, operator_user):
    assert api_client(operator_user).post(f"{LIST}enroll/").status_code == 403


def test_viewer_may_look(api_client, viewer_user, agent):
    assert api_client(viewer_user).get(f"{LIST}{agent.id}/").status_code == 200


@pytest.mark.parametrize("path", ["", "drain/", "resume/", "revoke/"])
def test_host_of_another_tenant_is_404(api_client, stranger, agent, path):
    client = api_client(stranger)
    url = f"{LIST}{agent.id}/{path}"
    assert (client.post(url) if path else client.get(url)).status_code == 404
    assert client.get(LIST).json()["count"] == 0


def test_credential_of_a_host_opens_no_rest(enrol, client):
    agent, token = enrol()
    client.logout()
    answer = client.get(f"{LIST}{agent.id}/", headers={"authorization": f"Bearer {token}"})
    assert answer.status_code == 401


def test_secrets_are_never_shown(client, agent):
    text = client.get(f"{LIST}{agent.id}/").content.decode()
    assert agent.token_sha256 not in text
    assert agent.token_public_id not in text
