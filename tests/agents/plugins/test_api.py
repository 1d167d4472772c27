"""REST of plug-ins: roles, tenants, bad input, and reads that cost the same for any number."""

from __future__ import annotations

import time

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from agent_client.protocol.plugins import PluginSample
from agents.plugins import store
from agents.plugins.models import AgentPlugin, PluginPackage
from agents.plugins.services import Change, set_plugin
from dialer_platform.accounts.choices import Scope
from dialer_platform.accounts.services.tokens import create_token
from tests.agents.plugins.conftest import SIGNATURE

pytestmark = pytest.mark.django_db(databases="__all__")

PACKAGES = "/api/v1/plugins/packages/"


@pytest.fixture
def url(agent) -> str:
    """Return the address of the host's plug-ins."""
    return f"/api/v1/agents/{agent.id}/plugins/"


@pytest.fixture
def admin(api_client, admin_user):
    """Return the client of an administrator of the tenant."""
    return api_client(admin_user)


def test_put_patch_and_delete_are_seen_in_the_list(admin, url):
    body = {"interval_seconds": 30, "config": {"per_core": True}}
    made = admin.put(f"{url}cpu/", body, format="json")
    assert (made.status_code, made.json()["wanted"]["interval_seconds"]) == (200, 30.0)
    admin.patch(f"{url}cpu/", {"enabled": False}, format="json")
    found = {one["name"]: one for one in admin.get(url).json()}
    assert found["cpu"]["wanted"]["config"] == {"per_core": True}
    assert found["cpu"]["is_active"] is False
    assert found["memory"]["wanted"] is None
    assert admin.delete(f"{url}cpu/").status_code == 204
    assert not AgentPlugin.objects.exists()


def test_put_takes_back_what_it_leaves_out(admin, url):
    admin.put(f"{url}cpu/", {"interval_seconds": 30, "config": {"x": 1}}, format="json")
    wanted = admin.put(f"{url}cpu/", {}, format="json").json()["wanted"]
    assert (wanted["interval_seconds"], wanted["config"], wanted["enabled"]) == (10.0, {}, True)


def test_post_activates_the_built_in_ones(admin, url):
    names = [one["name"] for one in admin.post(url).json() if one["is_active"]]
    assert sorted(names) == ["cpu", "disk", "memory", "network"]


@pytest.mark.parametrize("who", ["viewer_user", "operator_user"])
def test_viewer_and_operator_read_and_may_not_change(api_client, request, url, who):
    client = api_client(request.getfixturevalue(who))
    assert client.get(url).status_code == client.get(f"{url}cpu/samples/").status_code == 200
    for call in (client.put, client.patch, client.delete):
        assert call(f"{url}cpu/").status_code == 403
    assert client.post(url).status_code == 403
    assert client.post("/api/v1/plugins/apply/", {"name": "cpu"}).status_code == 403
    assert client.post("/api/v1/plugins/remove/", {"name": "cpu"}).status_code == 403
    assert not AgentPlugin.objects.exists()


def test_configuration_is_shown_only_to_who_may_change_it(
    api_client, admin, admin_user, viewer_user, operator_user, tenant, agent, url
):
    set_plugin(agent, "cpu", by="t", change=Change(config={"token": "secret"}))
    for user in (viewer_user, operator_user):
        for path in (url, f"{url}cpu/"):
            answer = api_client(user).get(path)
            assert "interval_seconds" in answer.content.decode()
            assert "secret" not in answer.content.decode()
    assert admin.get(f"{url}cpu/").json()["wanted"]["config"] == {"token": "secret"}
    # A token that may only read is no administrator's, whoever it belongs to.
    _, text = create_token(user=admin_user, tenant=tenant, scope=Scope.READ, by="test")
    client = APIClient(headers={"Authorization": f"Bearer {text}"})
    assert client.get(f"{url}cpu/").json()["wanted"]["config"] is None


def test_host_of_another_tenant_is_missing(api_client, stranger, url):
    client = api_client(stranger)
    paths = (url, f"{url}cpu/", f"{url}cpu/samples/", f"{url}cpu/lines/")
    assert {client.get(path).status_code for path in paths} == {404}
    assert client.put(f"{url}cpu/", {}, format="json").status_code == 404
    assert client.post(url).status_code == client.delete(f"{url}cpu/").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"interval_seconds": 0}, "interval_seconds"),
        ({"interval_seconds": "soon"}, "interval_seconds"),
        ({"config": []}, "config"),
        ({"config": {"x": "\x00"}}, "config"),
        ({"package": 77}, "package"),
        ({"enabled": "perhaps"}, "enabled"),
    ],
)
def test_bad_change_is_400_with_its_field(admin, url, body, field):
    answer = admin.put(f"{url}cpu/", body, format="json")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == [field]


def test_unknown_plugin_is_missing(admin, url):
    assert admin.get(f"{url}unknown/").status_code == 404
    assert admin.delete(f"{url}unknown/").status_code == 404
    assert admin.get(f"{url}UPPER/samples/").status_code == 404


def test_samples_and_lines_are_read_with_their_parameters(admin, agent, url):
    now = time.time()
    sample = PluginSample(plugin="cpu", at=now, metrics={"a": 2.0, "b[x]": 4.0}, lines=("l",))
    store.add(agent.id, [sample], tenant_id=agent.tenant_id)
    store.flush()
    (span,) = admin.get(f"{url}cpu/samples/?metric=b").json()["spans"]
    assert span["figures"] == {
        "b[x]": {"samples": 1, "mean": 4.0, "low": 4.0, "high": 4.0, "last": 4.0}
    }
    later = admin.get(f"{url}cpu/samples/", {"since": now + 120}).json()
    assert (later["span_seconds"], later["spans"]) == (60, [])
    assert [one["text"] for one in admin.get(f"{url}cpu/lines/").json()["lines"]] == ["l"]


@pytest.mark.parametrize(
    "path", ["samples/?since=x", "samples/?since=nan", "samples/?since=-1", "lines/?limit=0",
             "lines/?limit=1001", "lines/?limit=x", "lines/?limit=٣"]
)  # fmt: skip
def test_bad_parameter_is_400(admin, url, path):
    assert admin.get(f"{url}cpu/{path}").status_code == 400


def test_list_costs_the_same_for_any_number_of_plugins(admin, agent, url):
    set_plugin(agent, "cpu", by="t", change=Change())
    counted = []
    for names in ((), ("disk", "memory", "network", "log_tail")):
        for name in names:
            set_plugin(agent, name, by="t", change=Change())
        with CaptureQueriesContext(connection) as captured:
            admin.get(url)
        counted.append(len(captured))
    assert counted[0] == counted[1]


def test_apply_and_remove_by_labels_reach_the_own_tenant_only(admin, agent, enrol, other_tenant):
    foreign = enrol("foreign", tenant_id=other_tenant.id)[0]
    body = {"name": "disk", "labels": {}, "interval_seconds": 60}
    answer = admin.post("/api/v1/plugins/apply/", body, format="json")
    assert answer.json() == {"agents": [agent.id]}
    assert not AgentPlugin.objects.filter(agent=foreign).exists()
    answer = admin.post("/api/v1/plugins/remove/", {"name": "disk"}, format="json")
    assert answer.json() == {"agents": [agent.id]}


def upload(client, data: bytes, signature: str = SIGNATURE):
    """Upload a package as a form."""
    file = SimpleUploadedFile("x.tar.gz", data)
    return client.post(PACKAGES, {"file": file, "signature": signature}, format="multipart")


def test_package_is_uploaded_listed_and_deleted_by_admins(
    api_client, admin, operator_user, archive, stranger
):
    operator = api_client(operator_user)
    assert upload(operator, archive()).status_code == 403
    made = upload(admin, archive())
    assert (made.status_code, made.json()["name"]) == (201, "gpu_temperature")
    assert operator.get(PACKAGES).json()["count"] == 1
    assert api_client(stranger).get(PACKAGES).json()["count"] == 0
    place = f"{PACKAGES}{made.json()['id']}/"
    assert operator.delete(place).status_code == 403
    assert api_client(stranger).delete(place).status_code == 404
    assert admin.delete(place).status_code == 204
    assert not PluginPackage.objects.exists()


def test_bad_upload_is_400_and_a_known_version_409(api_client, admin_user, archive):
    admin = api_client(admin_user)
    assert upload(admin, b"no archive").status_code == 400
    assert upload(admin, archive(), "short").json()["fields"].keys() == {"signature"}
    assert upload(admin, archive()).status_code == 201
    assert upload(admin, archive()).status_code == 409
    assert admin.post(PACKAGES, {}, format="json").status_code == 415
