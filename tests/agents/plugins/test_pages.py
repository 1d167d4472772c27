"""Pages of plug-ins: what is shown, what the buttons and forms do, roles and tenants."""

from __future__ import annotations

import time

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from agent_client.protocol.plugins import PluginSample
from agents.plugins import store
from agents.plugins.models import AgentPlugin, PluginPackage, PluginReport
from agents.plugins.packages import upload_package
from agents.plugins.services import Change, set_plugin
from tests.agents.plugins.conftest import SIGNATURE

pytestmark = pytest.mark.django_db(databases="__all__")

PACKAGES = "/agents/plugin-packages/"


@pytest.fixture
def url(agent) -> str:
    """Return the address of the host's page of plug-ins."""
    return f"/agents/{agent.id}/plugins/"


@pytest.fixture
def admin(page_client, admin_user):
    """Return the browser of an administrator of the tenant."""
    return page_client(admin_user)


def test_panel_on_the_page_of_a_host_offers_the_built_in_ones(admin, agent, url):
    page = admin.get(f"/agents/{agent.id}/").content.decode()
    assert 'data-testid="plugins-activate"' in page
    assert admin.post(f"{url}activate/").status_code == 302
    assert AgentPlugin.objects.filter(enabled=True).count() == 4
    page = admin.get(f"/agents/{agent.id}/").content.decode()
    assert 'data-testid="plugins-activate"' not in page
    assert "not heard of yet" in page


def test_page_shows_state_detail_charts_and_lines(admin, agent, url):
    set_plugin(agent, "cpu", by="t", change=Change())
    set_plugin(agent, "log_tail", by="t", change=Change(config={"paths": ["/var/log/x"]}))
    PluginReport.objects.create(
        tenant=agent.tenant, agent=agent, name="log_tail", condition="failed", restarts=7,
        detail="no <file>", reported_at=timezone.now(),
    )  # fmt: skip
    now = time.time()
    figures = [PluginSample("cpu", now - age, {"usage_percent": 42.0}) for age in (0, 60, 600)]
    store.add(
        agent.id, [*figures, PluginSample("log_tail", now, {}, ("<script>",))], tenant_id="default"
    )
    store.flush()
    page = admin.get(url).content.decode()
    for text in ("no &lt;file&gt;", "CPU in use", "42 %", "&lt;script&gt;", ">7<", "<polyline"):
        assert text in page, text
    for window in ("1h", "24h", "7d", "nonsense"):
        assert admin.get(f"{url}?window={window}").status_code == 200


def test_code_leads_to_its_explanation(admin, agent, url):
    PluginReport.objects.create(
        tenant=agent.tenant,
        agent=agent,
        name="demo",
        condition="stopped",
        code="plugin_state_full",
        detail="it keeps 300 MiB",
        reported_at=timezone.now(),
    )
    for page in (url, f"/agents/{agent.id}/"):
        assert 'href="/help/errors/#plugin_state_full"' in admin.get(page).content.decode()
    assert 'id="plugin_state_full"' in admin.get("/help/errors/").content.decode()


def test_form_of_log_tail_makes_lists_of_lines(admin, agent, url):
    body = {
        "interval_seconds": "2.5",
        "paths": "/var/log/a.log\n\n  /var/log/b.log ",
        "include": "ERROR",
        "lines_per_second": "50",
    }
    assert admin.post(f"{url}log_tail/", body).status_code == 302
    row = AgentPlugin.objects.get()
    assert row.interval_seconds == 2.5
    assert row.config == {
        "paths": ["/var/log/a.log", "/var/log/b.log"],
        "include": ["ERROR"],
        "lines_per_second": 50,
        "from_start": False,
    }
    assert "/var/log/a.log\n/var/log/b.log" in admin.get(f"{url}log_tail/").content.decode()


def test_form_keeps_fields_of_the_configuration_that_it_does_not_show(admin, agent, url):
    set_plugin(agent, "cpu", by="t", change=Change(config={"later": 1}))
    admin.post(f"{url}cpu/", {"interval_seconds": "5", "per_core": "on"})
    assert AgentPlugin.objects.get().config == {"later": 1, "per_core": True}


@pytest.mark.parametrize("seconds", ["", "0", "x", "nan", "1e9"])
def test_form_shows_what_is_wrong(admin, url, seconds):
    answer = admin.post(f"{url}cpu/", {"interval_seconds": seconds})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.content.decode()
    assert not AgentPlugin.objects.exists()


def test_form_of_a_package_takes_json_and_a_version(admin, agent, url, archive):
    package = upload_package(tenant_id="default", data=archive(), signature=SIGNATURE, by="t")
    assert "gpu_temperature" in admin.get(url).content.decode()
    body = {"interval_seconds": "5", "package": str(package.pk), "config": '{"gpu": 1}'}
    assert admin.post(f"{url}gpu_temperature/", body).status_code == 302
    assert AgentPlugin.objects.get().config == {"gpu": 1}
    for config in ("[1]", "{", '"text"'):
        answer = admin.post(f"{url}gpu_temperature/", body | {"config": config})
        assert answer.status_code == 422, config


def test_buttons_switch_and_remove(admin, agent, url):
    set_plugin(agent, "cpu", by="t", change=Change(config={"per_core": True}))
    admin.post(f"{url}cpu/switch/", {"enabled": "0"})
    assert AgentPlugin.objects.get().enabled is False
    admin.post(f"{url}cpu/switch/", {"enabled": "1"})
    assert (AgentPlugin.objects.get().enabled, AgentPlugin.objects.get().config) == (
        True,
        {"per_core": True},
    )
    admin.post(f"{url}cpu/remove/")
    assert not AgentPlugin.objects.exists()


def test_unknown_plugin_has_no_form(admin, url):
    assert admin.get(f"{url}unknown/").status_code == 404
    assert admin.get(f"{url}UPPER/").status_code == 404


@pytest.mark.parametrize("who", ["viewer_user", "operator_user"])
def test_viewer_and_operator_see_states_and_charts_without_buttons_and_may_not_post(
    page_client, request, agent, url, who
):
    set_plugin(agent, "cpu", by="t", change=Change(config={"token": "secret"}))
    sample = PluginSample("cpu", time.time(), {"usage_percent": 42.0})
    store.add(agent.id, [sample], tenant_id="default")
    store.flush()
    viewer = page_client(request.getfixturevalue(who))
    page = viewer.get(url).content.decode()
    assert "not heard of yet" in page
    assert "<polyline" in page
    assert "plugin-off-cpu" not in page
    assert "secret" not in page
    for path in ("activate/", "cpu/", "cpu/switch/", "cpu/remove/"):
        assert viewer.post(url + path, {"interval_seconds": 1}).status_code in {302, 403}
    assert AgentPlugin.objects.get().enabled is True
    assert viewer.get(PACKAGES).status_code == 200
    viewer.post(PACKAGES, {})
    assert not PluginPackage.objects.exists()


def test_host_of_another_tenant_is_missing(page_client, stranger, url):
    client = page_client(stranger)
    assert client.get(url).status_code == client.get(f"{url}cpu/").status_code == 404
    assert client.post(f"{url}activate/").status_code == 404
    assert not AgentPlugin.objects.exists()


def test_packages_are_uploaded_and_deleted_by_admins(admin, archive):
    wrong = admin.post(PACKAGES, {"file": SimpleUploadedFile("x", b"x"), "signature": SIGNATURE})
    assert (wrong.status_code, "This is no package" in wrong.content.decode()) == (422, True)
    body = {"file": SimpleUploadedFile("x.tar.gz", archive()), "signature": SIGNATURE}
    assert admin.post(PACKAGES, body).status_code == 302
    package = PluginPackage.objects.get()
    assert package.sha256[:12] in admin.get(PACKAGES).content.decode()
    admin.post(f"{PACKAGES}{package.pk}/delete/")
    assert not PluginPackage.objects.exists()


def test_page_costs_the_same_for_any_number_of_lines_and_samples(admin, agent, url):
    set_plugin(agent, "cpu", by="t", change=Change())
    set_plugin(agent, "log_tail", by="t", change=Change())
    counts = []
    for number in (1, 50):
        now = time.time()
        store.add(
            agent.id,
            [PluginSample("cpu", now - 60 * n, {"usage_percent": 1.0}) for n in range(number)],
            tenant_id="default",
        )
        store.add(
            agent.id, [PluginSample("log_tail", now, {}, tuple("x" * number))], tenant_id="default"
        )
        store.flush()
        with (
            CaptureQueriesContext(connections["default"]) as main,
            CaptureQueriesContext(connections[settings.SERIES_DATABASE]) as series,
        ):
            admin.get(url)
        counts.append((len(main), len(series)))
    assert counts[0] == counts[1]
