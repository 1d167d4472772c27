"""Pages of hosts: cards, detail, enrolment, actions; tenants and roles apart."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Resources
from agents import hot
from agents.models import Agent, EnrolmentToken
from agents.principal import AgentPrincipal
from agents.services.enrolment import register
from dialer_platform.accounts.models import AuditEvent
from tests.agents import wire

# The page of a host shows plug-ins, whose samples live in the other database.
pytestmark = pytest.mark.django_db(databases="__all__")

HTMX = {"HX-Request": "true"}
GPU = {
    "uuid": "G-0",
    "index": 0,
    "name": "RTX 4090",
    "utilization": 98.0,
    "memory_used": 20_000,
    "memory_total": 24_000,
    "tasks": [418],
    "foreign": [{"pid": 8812, "user": "li", "name": "<vllm>", "memory_mb": 9_000, "since": 1.0}],
}


@pytest.fixture
def host(tenant) -> Agent:
    """Return a busy online host."""
    return Agent.objects.create(
        id="a-7f2c000000",
        tenant=tenant,
        name="box3",
        status="online",
        online_since=timezone.now(),
        last_heartbeat_time=timezone.now(),
        cpu_cores=32,
        memory_bytes=256 << 30,
        slots=8,
        version="1.4.0",
        resources={"cpu_usage": 54.2, "memory_usage": 71.0, "load_1m": 9.1, "cpu_cores_booked": 20},
        thread_pool={
            "max_workers": 20,
            "active_threads": 5,
            "pending_tasks": 2,
            "completed_tasks": 1881,
        },
        gpu_info=[GPU],
        system={"os": "Ubuntu 24.04", "mounts": "nonsense"},
    )


@pytest.fixture
def sub(host) -> Agent:
    """Return a running task of the host."""
    return Agent.objects.create(
        id=f"{host.id}/418",
        tenant=host.tenant,
        name="bert finetune",
        type="sub",
        status="online",
        main_agent=host,
        task_id=418,
        online_since=timezone.now(),
    )


def page(client, path: str = "/agents/") -> str:
    """Return the text of a page."""
    return client.get(path).content.decode()


def test_card_shows_every_fact(page_client, viewer_user, host, sub):
    html = page(page_client(viewer_user))
    for text in ("a-7f2c000000", "agent 1.4.0", "20 of 32 booked", "54 %", "9.1"):
        assert text in html
    assert "5 of 20 · 2 wait" in html
    assert "1881" in html
    for hook in ("agent-card-", "agent-status-", "thread-pool-"):
        assert f'data-testid="{hook}{host.id}"' in html


def test_sub_agent_stands_beneath_its_host_with_its_task(page_client, viewer_user, host, sub):
    html = page(page_client(viewer_user))
    assert html.index(f"agent-card-{host.id}") < html.index(f"agent-card-{sub.id}")
    assert 'href="/tasks/418/"' in html


def test_foreign_process_is_named_and_escaped(page_client, viewer_user, host):
    html = page(page_client(viewer_user))
    assert "pid 8812 · li · &lt;vllm&gt; · 8.8 GB" in html


def test_offline_hosts_come_last(page_client, viewer_user, tenant, host):
    Agent.objects.create(tenant=tenant, name="a-first", status="offline")
    html = page(page_client(viewer_user))
    assert html.index("box3") < html.index("a-first")
    assert "1 online · 1 offline · 1 of 1 GPUs busy" in html


def test_revoked_hosts_are_not_listed_but_keep_their_page(page_client, viewer_user, host):
    Agent.objects.update(revoked_at=timezone.now(), status="offline")
    client = page_client(viewer_user)
    assert "box3" not in page(client)
    assert "revoked" in page(client, f"/agents/{host.id}/")


def test_empty_page_says_how_to_add_a_host(page_client, admin_user):
    html = page(page_client(admin_user))
    assert "No agent yet" in html
    assert "manage.py enroll" in html.replace('</span> <span class="word">', " ")


def test_list_costs_the_same_for_one_host_and_many(
    page_client, viewer_user, tenant, host, sub, django_assert_max_num_queries
):
    for number in range(10):
        Agent.objects.create(tenant=tenant, name=f"box{number}")
    client = page_client(viewer_user)
    client.get("/agents/")
    with django_assert_max_num_queries(16):
        client.get("/agents/")


def test_refresh_is_a_fragment_with_the_summary_beside_it(page_client, viewer_user, host):
    response = page_client(viewer_user).get("/agents/", headers=HTMX)
    html = response.content.decode()
    assert "<html" not in html
    assert 'id="agents-summary"' in html
    assert "hx-swap-oob" in html


def test_detail_survives_nonsense_from_the_host(page_client, viewer_user, host):
    html = page(page_client(viewer_user), f"/agents/{host.id}/")
    assert "Ubuntu 24.04" in html
    assert "It has run no task yet." in html


@pytest.mark.parametrize("path", ["/agents/{id}/", "/agents/a-unknown/"])
def test_foreign_and_unknown_hosts_are_missing(page_client, stranger, host, path):
    assert page_client(stranger).get(path.format(id=host.id)).status_code == 404


def test_stranger_sees_no_host_in_the_list(page_client, stranger, host):
    assert "box3" not in page(page_client(stranger))


@pytest.mark.parametrize("verb", ["drain", "pause", "resume"])
def test_verbs_ask_for_a_reason_first(page_client, admin_user, host, verb):
    client = page_client(admin_user)
    form = client.get(f"/agents/{host.id}/{verb}/", headers=HTMX).content.decode()
    assert f'hx-post="/agents/{host.id}/{verb}/"' in form
    assert 'name="reason" maxlength="200"' in form
    assert "<html" not in form
    assert "<html" in client.get(f"/agents/{host.id}/{verb}/").content.decode()
    host.refresh_from_db()
    assert not host.is_draining


def test_menu_offers_what_makes_sense(page_client, admin_user, host):
    client = page_client(admin_user)
    offered = []
    for facts in ({}, {"is_draining": True}, {"is_draining": True, "is_paused": True}):
        Agent.objects.filter(id=host.id).update(**facts)
        html = page(client)
        verbs = ("drain", "pause", "resume")
        offered.append([verb for verb in verbs if f"agent-{verb}-{host.id}" in html])
    assert offered == [["drain", "pause"], ["pause", "resume"], ["drain", "resume"]]


def test_paused_host_says_so_and_is_no_cause_for_alarm(page_client, admin_user, host):
    client = page_client(admin_user)
    client.post(f"/agents/{host.id}/pause/", {"reason": "new disk"}, headers=HTMX)
    Agent.objects.filter(id=host.id).update(status="offline")
    html = page(client)
    assert f'data-testid="agent-standing-{host.id}"><span>paused</span>' in html
    assert '<span class="muted break">new disk</span>' in html
    overview = client.get("/").content.decode()
    assert "Last heartbeat" not in overview


def test_drain_and_resume_act_with_a_reason(page_client, admin_user, host):
    client = page_client(admin_user)
    response = client.post(f"/agents/{host.id}/drain/", {"reason": "new disk"}, headers=HTMX)
    assert json.loads(response.headers["HX-Trigger"])["toast"]["tone"] == "done"
    host.refresh_from_db()
    assert (host.is_draining, host.drain_reason) == (True, "new disk")
    page = client.get("/agents/").content.decode()
    assert '<span class="muted break">new disk</span>' in page
    assert AuditEvent.objects.get(action="agent.drain").detail == {"reason": "new disk"}
    client.post(f"/agents/{host.id}/resume/")
    host.refresh_from_db()
    assert not host.is_draining


def test_revoking_twice_says_so(page_client, admin_user, host):
    client = page_client(admin_user)
    assert client.post(f"/agents/{host.id}/revoke/", headers=HTMX).status_code == 204
    again = client.post(f"/agents/{host.id}/revoke/", headers=HTMX)
    assert again.status_code == 409
    assert "revoked before" in again.headers["HX-Trigger"]


@pytest.mark.parametrize("verb", ["drain", "pause", "resume", "revoke"])
def test_operator_may_not_act_on_hosts(page_client, operator_user, host, verb):
    client = page_client(operator_user)
    assert client.post(f"/agents/{host.id}/{verb}/").status_code == 403
    assert f"agent-{verb}-" not in page(client)


def test_action_works_without_script(page_client, admin_user, host):
    response = page_client(admin_user).post(f"/agents/{host.id}/drain/")
    assert response.headers["Location"] == f"/agents/{host.id}/"


def test_adding_a_host_shows_the_command_once(page_client, admin_user):
    response = page_client(admin_user).post("/agents/enrol/", headers=HTMX)
    html = response.content.decode()
    assert "dpe_" in html
    assert "/agent/install.py" in html
    assert response.headers["Cache-Control"] == "no-store"
    assert EnrolmentToken.objects.get().max_uses == 1


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", "open this console under an address"), ("zh-hans", "打开本控制台")],
)
def test_command_with_a_local_address_says_how_to_get_another(
    page_client, admin_user, language, words
):
    headers = {**HTMX, "Host": "127.0.0.1:8000", "Accept-Language": language}
    html = page_client(admin_user).post("/agents/enrol/", headers=headers).content.decode()
    assert words in html
    assert "manage.py enroll --url" in html


def test_adding_a_host_is_for_administrators(page_client, operator_user):
    client = page_client(operator_user)
    assert client.post("/agents/enrol/").status_code == 403
    assert "agent-add" not in page(client)


def test_dialog_lights_up_when_the_host_has_joined(page_client, admin_user):
    client = page_client(admin_user)
    html = client.post("/agents/enrol/", headers=HTMX).content.decode()
    text = html[html.index("dpe_") :].split("<")[0].strip()
    url = f"/agents/enrol/{EnrolmentToken.objects.get().public_id}/"
    assert "waiting for the host" in page(client, url)
    register(token=text, name="newbox", instance_id="i-1")
    assert "newbox has joined." in page(client, url)


def test_foreign_token_is_missing(page_client, admin_user, stranger):
    page_client(admin_user).post("/agents/enrol/")
    url = f"/agents/enrol/{EnrolmentToken.objects.get().public_id}/"
    assert page_client(stranger).get(url).status_code == 404


def test_admin_renames_a_host_and_gives_it_labels(page_client, admin_user, host):
    fields = {"name": "训练机 🚀", "labels": "zone=lab， gpu=a100"}
    answer = page_client(admin_user).post(f"/agents/{host.id}/change/", fields)
    host.refresh_from_db()
    assert answer.headers["Location"] == f"/agents/{host.id}/"
    assert (host.name, host.labels) == ("训练机 🚀", {"zone": "lab", "gpu": "a100"})
    assert AuditEvent.objects.filter(action="agent.change", object_id=host.id).exists()


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": " ", "labels": ""}, "This field is required."),
        ({"name": "n" * 201, "labels": ""}, "at most 200 characters"),
        ({"name": "n", "labels": "zone"}, "Write name=value: zone"),
        ({"name": "n", "labels": f"zone={'x' * 64}"}, "at most 63 characters"),
    ],
)
def test_wrong_name_or_labels_are_shown_beside_the_field(
    page_client, admin_user, host, fields, sentence
):
    answer = page_client(admin_user).post(f"/agents/{host.id}/change/", fields)
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert Agent.objects.get(id=host.id).name == "box3"


def test_only_an_admin_may_rename_a_host(page_client, operator_user, host):
    client = page_client(operator_user)
    assert "agent-edit-form" not in page(client, f"/agents/{host.id}/")
    assert client.post(f"/agents/{host.id}/change/", {"name": "x"}).status_code == 403


def test_page_tells_labels_of_the_host_from_given_ones(page_client, admin_user, host):
    Agent.objects.filter(id=host.id).update(
        labels={"gpu": "a100", "zone": "lab"},
        host_labels={"gpu": "t4", "zone": "lab"},
        given_labels={"gpu": "a100"},
    )
    html = page(page_client(admin_user), f"/agents/{host.id}/")
    assert '<span class="chip">gpu=a100</span>' in html
    assert 'data-testid="host-label">zone=lab</span>' in html
    assert 'data-testid="host-label">gpu' not in html
    assert ">gpu=a100</textarea>" in html.replace("\n", "")


def test_beat_of_a_loaded_host_shows_on_its_card(page_client, admin_user, host):
    lowered = Resources(cpu_usage=99, adaptive_factor=0.5, adaptive_cause="cpu", slots_allowed=4)
    hot.note_beat(AgentPrincipal(host.id, host.tenant_id), wire.beat(host.id, resources=lowered))
    for path in ("/agents/", f"/agents/{host.id}/"):
        html = page(page_client(admin_user), path)
        note = html.partition(f'data-testid="agent-limits-{host.id}">')[2].partition("</p>")[0]
        assert "CPU is busy: × 0.5" in note
        assert "4 tasks at once instead of 8" in note
    hot.note_beat(AgentPrincipal(host.id, host.tenant_id), wire.beat(host.id))
    assert "agent-limits-" not in page(page_client(admin_user))


@pytest.mark.parametrize(
    ("facts", "is_said"),
    [({"isolation": "same-user"}, True), ({"isolation": "other-users"}, False), ({}, False)],
)
def test_page_says_when_scripts_are_not_isolated(page_client, viewer_user, host, facts, is_said):
    Agent.objects.filter(id=host.id).update(system=facts)
    html = page(page_client(viewer_user), f"/agents/{host.id}/")
    assert ("not isolated from it" in html) is is_said
    assert ("run_as in its policy.yaml" in html) is is_said


def test_tasks_of_a_silent_host_are_unreachable(page_client, viewer_user, host, sub):
    assert "tone-unreachable" not in page(page_client(viewer_user))
    Agent.objects.filter(id=host.id).update(status="offline")
    assert "badge tone-unreachable" in page(page_client(viewer_user))


def test_summary_counts_paused_hosts(page_client, viewer_user, host):
    Agent.objects.filter(id=host.id).update(is_draining=True, is_paused=True)
    assert "1 online · 1 paused" in page(page_client(viewer_user))
