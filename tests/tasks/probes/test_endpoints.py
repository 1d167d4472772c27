"""GET tasks/agent and POST results as agents call them, and the number in beats."""

from __future__ import annotations

import time

import pytest
from asgiref.sync import sync_to_async

from agents import credentials, probe_duty
from agents.services.main_agents import create_main_agent, pause_agent, resume_agent
from dialer_platform.accounts.models import Tenant
from tasks.probes import provider, sets
from tasks.probes.models import Probe
from tasks.probes.series.models import ProbeResult as Stored
from tests.agents.asgi_client import call

pytestmark = pytest.mark.django_db(transaction=True)

PATH = "/api/v1/tasks/agent"


@pytest.fixture
def host():
    """Return an enrolled host and its token, visible to the server's threads."""
    credentials.clear()
    Tenant.objects.get_or_create(id="default", defaults={"name": "Default"})
    yield create_main_agent(tenant_id="default", name="box")
    provider.writer.stop()


@pytest.fixture
def site(host) -> Probe:
    """Return a probe that the host runs."""
    return Probe.objects.create(
        tenant_id="default", name="s", kind="http", target="http://127.0.0.1/", interval=30
    )


def body(probe: Probe, seq: int = 1, **fields) -> dict:
    """Return a result as JSON."""
    values = {"outcome": "up", "started_at": time.time(), "stream": "s", **fields}
    return {"task_id": probe.pk, "tenant_id": "default", "seq": seq, **values}


async def test_set_of_an_agent_names_its_probes(host, site):
    answer = await call("GET", f"{PATH}?agent_id={host[0].pk}", token=host[1])
    assert answer.status == 200
    (task,) = answer.json()["tasks"]
    assert (task["task_id"], task["kind"], task["interval"]) == (site.pk, "http", 30.0)
    assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'


async def test_unchanged_set_is_not_sent_again(host, site):
    etag = (await call("GET", PATH, token=host[1])).headers["etag"]
    answer = await call("GET", PATH, token=host[1], headers={"if-none-match": etag})
    assert (answer.status, answer.body) == (304, b"")


async def test_paused_host_gets_an_empty_set_with_a_new_number(host, site):
    before = (await call("GET", PATH, token=host[1])).json()
    await sync_to_async(pause_agent)(host[0], by="x")
    after = (await call("GET", PATH, token=host[1])).json()
    assert (after["tasks"], after["revision"] not in {0, before["revision"]}) == ([], True)
    await sync_to_async(resume_agent)(host[0], by="x")
    assert (await call("GET", PATH, token=host[1])).json() == before


def test_pause_rings_for_every_process(host, site):
    sets.compare_stamps()
    known = sets.duty(host[0].pk).revision
    pause_agent(host[0], by="x")
    sets.compare_stamps()
    assert sets.duty(host[0].pk).revision not in {0, known}


async def test_beat_carries_the_number_of_the_set(host, site):
    revision = (await call("GET", PATH, token=host[1])).json()["revision"]
    beat = {"agent_id": host[0].pk, "status": "running", "thread_pool": {}}
    answer = await call("POST", "/api/v1/nodes/heartbeat", beat, token=host[1])
    assert answer.json()["probes_revision"] == revision == probe_duty.revision(host[0].pk)
    assert revision != 0


async def test_set_of_another_agent_is_forbidden(host):
    answer = await call("GET", f"{PATH}?agent_id=a-other", token=host[1])
    assert (answer.status, answer.json()["code"]) == (403, "agent_mismatch")


async def test_one_result_and_a_list_are_confirmed_after_the_commit(host, site):
    single = await call("POST", "/api/v1/results", body(site), token=host[1])
    listed = await call("POST", "/api/v1/results", [body(site, 2), body(site, 3)], token=host[1])
    assert (single.json()["acked"], listed.json()["acked"]) == ([1], [2, 3])
    assert await Stored.objects.acount() == 3


async def test_broken_result_is_confirmed_with_a_reason_and_the_others_stored(host, site):
    broken = body(site, 2) | {"outcome": "wonderful"}
    answer = await call(
        "POST", "/api/v1/results", [body(site), broken, body(site, 3)], token=host[1]
    )
    assert sorted(answer.json()["acked"]) == [1, 2, 3]
    assert [(one["seq"], one["code"]) for one in answer.json()["rejected"]] == [(2, "invalid")]
    assert await Stored.objects.acount() == 2


async def test_refused_result_is_confirmed_too(host, site):
    foreign = body(site, 5) | {"tenant_id": "other"}
    answer = await call("POST", "/api/v1/results", foreign, token=host[1])
    assert answer.json()["acked"] == [5]
    assert answer.json()["rejected"][0]["code"] == "wrong_tenant"


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"[", 400), (b"7", 400), (b"[7]", 400), (b"null", 400), (b"[]", 200), (b"[[]]", 400)],
)
async def test_body_that_is_no_result_is_refused(host, data, status):
    headers = {"content-type": "application/json"}
    answer = await call("POST", "/api/v1/results", data, token=host[1], headers=headers)
    assert answer.status == status


async def test_more_than_a_thousand_results_are_refused(host, site):
    many = [body(site, n) for n in range(1_001)]
    assert (await call("POST", "/api/v1/results", many, token=host[1])).status == 413


async def test_stranger_can_neither_read_nor_report(host, site):
    assert (await call("GET", PATH, token="dpa_x_y")).status == 401
    assert (await call("POST", "/api/v1/results", body(site), token="dpa_x_y")).status == 401


def test_change_reaches_the_number_at_once(host, site):
    sets.refresh("default")
    before = probe_duty.revision(host[0].pk)
    Probe.objects.filter(pk=site.pk).update(version=2)
    sets.refresh("default")
    assert probe_duty.revision(host[0].pk) not in {before, 0}


def test_other_tenants_change_leaves_the_number(host, site):
    sets.refresh("default")
    before = probe_duty.revision(host[0].pk)
    other = Tenant.objects.create(id="other", name="Other")
    Probe.objects.create(tenant=other, name="s", kind="tcp", target="x:1", interval=30)
    sets.refresh("default")
    assert probe_duty.revision(host[0].pk) == before
