"""The agents' endpoints of plug-ins: their set, samples, packages, and the number in beats."""

from __future__ import annotations

import hashlib
import threading
import time

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from agents import conversation
from agents.plugins import descriptions, endpoints, store, wanted
from agents.plugins.models import AgentPlugin, PluginReport
from agents.plugins.packages import upload_package
from agents.plugins.series.models import PluginSpan
from agents.plugins.services import Change, remove_plugin, set_plugin
from agents.principal import AgentPrincipal
from tests.agents.asgi_client import call
from tests.agents.plugins.conftest import SIGNATURE

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

SET = "/api/v1/plugins/agent"
SAMPLES = "/api/v1/plugins/samples"
PACKAGES = "/api/v1/plugins/packages/"


@pytest.fixture
def active(enrolled):
    """Return a host with an active plug-in, and its token."""
    set_plugin(enrolled[0], "cpu", by="test", change=Change(interval_seconds=5))
    return enrolled


def sample(**changes) -> dict[str, object]:
    """Return a sample as an agent sends it."""
    return {"plugin": "cpu", "at": time.time(), "metrics": {"usage_percent": 12.5}} | changes


async def test_set_is_empty_and_without_number_for_a_host_that_never_had_any(enrolled):
    answer = await call("GET", SET, token=enrolled[1])
    assert (answer.status, answer.json()) == (200, {"revision": 0, "plugins": []})


async def test_set_names_what_is_wanted_and_is_304_while_known(active):
    agent, token = active
    answer = await call("GET", f"{SET}?agent_id={agent.id}", token=token)
    found = answer.json()
    assert [(one["name"], one["interval_seconds"]) for one in found["plugins"]] == [("cpu", 5.0)]
    assert found["revision"] == wanted.revision(agent.id) != 0
    again = await call("GET", SET, token=token, headers={"if-none-match": answer.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_set_of_another_agent_is_403(active):
    answer = await call("GET", f"{SET}?agent_id=a-0000000000", token=active[1])
    assert (answer.status, answer.json()["code"]) == (403, "agent_mismatch")


@pytest.mark.parametrize(("method", "path"), [("GET", SET), ("POST", SAMPLES)])
async def test_without_a_credential_it_is_401(tenant, method, path):
    assert (await call(method, path)).status == 401


async def test_beat_names_the_number_of_the_set_at_once(active, registry):
    agent, token = active
    beat = {"agent_id": agent.id, "status": "running"}
    answer = await call("POST", "/api/v1/nodes/heartbeat", beat, token=token)
    assert answer.json()["plugins_revision"] == wanted.revision(agent.id)


def test_socket_names_the_number_too(active):
    agent = active[0]
    number = wanted.revision(agent.id)
    welcome = conversation._welcome(AgentPrincipal(agent.id, agent.tenant_id))
    ack = conversation._beat_ack(("m1",), agent.id)
    assert welcome.plugins_revision == ack.plugins_revision == number != 0


async def test_frames_answer_names_the_number(active, registry):
    agent, token = active
    headers = {"content-type": "application/octet-stream"}
    answer = await call("POST", "/api/v1/nodes/frames", b"", token=token, headers=headers)
    assert answer.json()["plugins_revision"] == wanted.revision(agent.id)


async def test_samples_are_taken_and_counted(active):
    body = [sample(), sample(lines=["a", "b"])]
    answer = await call("POST", SAMPLES, body, token=active[1])
    assert (answer.status, answer.json()) == (200, {"accepted": 2, "refused": []})


@pytest.mark.parametrize(
    ("piece", "code"),
    [
        ({"plugin": "disk", "at": 1.0}, "not_wanted"),
        ({"plugin": "cpu", "at": 1.0}, "bad_time"),
        ({"plugin": "cpu", "at": 4e9}, "bad_time"),
        ({"plugin": "CPU!"}, "invalid"),
        ({"plugin": "cpu"}, "invalid"),
        (7, "invalid"),
        ({"metrics": {f"m{n}": 1.0 for n in range(201)}}, "invalid"),
        ({"metrics": {"": 1.0}}, "invalid"),
        ({"metrics": {"x" * 121: 1.0}}, "invalid"),
        ({"metrics": {"x": 1e31}}, "invalid"),
        ({"metrics": {"x": "1"}}, "invalid"),
        ({"lines": ["x" * 2_001]}, "invalid"),
        ({"lines": ["x\0"]}, "invalid"),
        ({"lines": ["x"] * 201}, "invalid"),
        ({"about": {"x": {"unit": "u" * 21}}}, "invalid"),
        ({"about": {"x": {"help": "h" * 201}}}, "invalid"),
        ({"about": {"x": {"help": "h\0"}}}, "invalid"),
        ({"about": {"x": {"kind": "histogram"}}}, "invalid"),
        ({"about": {"": {}}}, "invalid"),
        ({"about": {f"m{n}": {} for n in range(201)}}, "invalid"),
    ],
)
async def test_sample_that_cannot_be_used_is_refused_alone(active, piece, code):
    if isinstance(piece, dict) and "plugin" not in piece:
        piece = sample(**piece)
    answer = await call("POST", SAMPLES, [sample(), piece, sample()], token=active[1])
    assert answer.status == 200
    assert answer.json()["accepted"] == 2
    assert [(one["position"], one["code"]) for one in answer.json()["refused"]] == [(1, code)]


@pytest.mark.parametrize("body", [b"", b"{}", b"[1", b"null", b"\xff", b"[" * 5_000])
async def test_body_that_is_no_list_is_400(active, body):
    answer = await call("POST", SAMPLES, body, token=active[1])
    assert (answer.status, answer.json()["code"]) == (400, "malformed")


async def test_more_samples_than_allowed_are_413(active):
    answer = await call("POST", SAMPLES, [1] * 1_001, token=active[1])
    assert (answer.status, answer.json()["code"]) == (413, "too_large")


async def test_more_values_than_allowed_are_413_and_counted(active):
    many = {f"m{n}": 1.0 for n in range(200)}
    answer = await call("POST", SAMPLES, [sample(metrics=many)] * 101, token=active[1])
    assert (answer.status, answer.json()["code"]) == (413, "too_large")
    assert endpoints.refused_requests == {"too_large": 1}


async def test_sample_that_is_too_long_is_not_looked_at(active):
    piece = sample(metrics={"x" * 300_000: 1.0})
    answer = await call("POST", SAMPLES, [piece, sample()], token=active[1])
    (refusal,) = answer.json()["refused"]
    assert (refusal["code"], "at most" in refusal["detail"]) == ("invalid", True)


async def test_host_that_brings_too_much_is_429_and_others_are_not(active, monkeypatch, enrol):
    monkeypatch.setattr("agents.plugins.budget.MAX_SAVED_VALUES", 2.0)
    monkeypatch.setattr("agents.plugins.budget.VALUES_PER_SECOND", 0.0)
    body = [sample(), sample()]
    other = (await sync_to_async(enrol)("other"))[1]
    statuses = [(await call("POST", SAMPLES, body, token=active[1])).status for _ in range(2)]
    assert statuses == [200, 429]
    assert (await call("POST", SAMPLES, body, token=other)).status == 200
    assert endpoints.refused_requests == {"slow_down": 1}


async def test_host_with_too_much_waiting_is_429_before_its_body_is_read(active, monkeypatch):
    monkeypatch.setattr("agents.plugins.waiting.MAX_FIGURES_PER_HOST", 1)
    assert (await call("POST", SAMPLES, [sample()], token=active[1])).status == 200
    monkeypatch.setattr(endpoints, "read_samples", lambda *_, **__: pytest.fail("it was read"))
    answer = await call("POST", SAMPLES, [sample()], token=active[1])
    assert (answer.status, answer.json()["code"]) == (429, "slow_down")
    assert answer.headers["retry-after"]


async def test_samples_are_read_outside_the_event_loop(active, monkeypatch):
    threads = []
    real = endpoints.read_samples

    def read(*arguments, **options):
        threads.append(threading.current_thread())
        return real(*arguments, **options)

    monkeypatch.setattr(endpoints, "read_samples", read)
    await call("POST", SAMPLES, [sample()], token=active[1])
    assert threads
    assert threading.current_thread() not in threads


async def test_plugin_made_active_in_another_process_is_taken_after_one_look(active):
    wanted.clear()
    answer = await call("POST", SAMPLES, [sample()], token=active[1])
    assert answer.json()["accepted"] == 1


@pytest.fixture
def packaged(enrolled, archive):
    """Return a host that is to run a package, its token, and the package's bytes."""
    data = archive()
    package = upload_package(tenant_id="default", data=data, signature=SIGNATURE, by="test")
    change = Change(package_id=package.pk)
    set_plugin(enrolled[0], "gpu_temperature", by="test", change=change)
    return enrolled[0], enrolled[1], data


async def test_package_comes_byte_for_byte_where_it_is_wanted(packaged):
    _agent, token, data = packaged
    told = (await call("GET", SET, token=token)).json()["plugins"][0]["package"]
    assert told == {
        "version": "1.2.0",
        "sha256": hashlib.sha256(data).hexdigest(),
        "signature": SIGNATURE,
        "size_bytes": len(data),
    }
    answer = await call("GET", PACKAGES + told["sha256"], token=token)
    assert (answer.status, answer.body) == (200, data)


def test_package_is_missing_for_a_host_that_does_not_want_it(packaged, enrol):
    from asgiref.sync import async_to_sync

    agent, token, data = packaged
    path = PACKAGES + hashlib.sha256(data).hexdigest()
    other = enrol("other")[1]
    assert async_to_sync(call)("GET", path, token=other).status == 404
    assert async_to_sync(call)("GET", path).status == 401
    assert async_to_sync(call)("POST", path, token=token).status == 405
    set_plugin(agent, "gpu_temperature", by="test", change=Change(enabled=False))
    assert async_to_sync(call)("GET", path, token=token).status == 404
    remove_plugin(agent, "gpu_temperature", by="test")
    assert not AgentPlugin.objects.exists()


def test_description_of_metrics_reaches_the_report(active):
    from asgiref.sync import async_to_sync

    agent, token = active
    about = {"usage_percent": {"unit": "percent", "help": "Time not idle."}}
    async_to_sync(call)("POST", SAMPLES, [sample(about=about), sample()], token=token)
    PluginReport.objects.create(
        tenant_id="default",
        agent=agent,
        name="cpu",
        condition="running",
        reported_at=timezone.now(),
    )
    descriptions.write()
    assert PluginReport.objects.get().metrics == about


def test_samples_become_spans_of_the_host(active):
    from asgiref.sync import async_to_sync

    agent, token = active
    async_to_sync(call)("POST", SAMPLES, [sample(), sample()], token=token)
    store.flush()
    spans = PluginSpan.objects.filter(agent_id=agent.id, plugin="cpu")
    assert sorted(spans.values_list("level", flat=True)) == [60, 900]
