"""Who may read which metrics: two tenants with plug-ins and probes, asked from everywhere."""

from __future__ import annotations

import time

import pytest

from agent_client.protocol.plugins import PluginSample
from agents.plugins import store
from dialer_platform.accounts.services.tokens import create_token
from dialer_platform.console import tenant_metrics
from tasks.probes.choices import Outcome, State
from tasks.probes.models import Location, Probe

ELSEWHERE = "192.0.2.7"
OF_THE_PROCESS = ("dialer_live_subscriptions", "dialer_tasks", "python_info", "process_")


@pytest.fixture(autouse=True)
def _values(tenant, other_tenant):
    """Have a plug-in and a probe in each of two tenants."""
    for one in (tenant, other_tenant):
        sample = PluginSample("cpu", time.time(), {"usage_percent": 1.0})
        store.add(f"host-of-{one.id}", [sample], tenant_id=one.id)
        probe = Probe.objects.create(
            tenant=one, name=f"probe-of-{one.id}", kind="http", target=f"http://{one.id}.test/"
        )
        Location.objects.create(probe=probe, state=State.UP, last_outcome=Outcome.UP)
    yield
    store.clear()


def scrape(client, user, tenant, **request) -> str:
    """Return the metrics as a user's token reads them, by default from elsewhere."""
    _, text = create_token(user=user, tenant=tenant, by="test")
    headers = {"Authorization": f"Bearer {text}"} | request.pop("headers", {})
    request = {"REMOTE_ADDR": ELSEWHERE} | request
    answer = client.get("/metrics", headers=headers, **request)
    assert answer.status_code == 200
    return answer.content.decode()


def shows(text: str, tenant_id: str) -> bool:
    """Tell whether plug-in and probe of a tenant are shown; both or neither."""
    found = {f"{what}-of-{tenant_id}" in text for what in ("host", "probe")}
    assert len(found) == 1
    return found.pop()


def test_token_reads_its_own_tenant_only(client, viewer_user, stranger, tenant, other_tenant):
    mine = scrape(client, viewer_user, tenant)
    theirs = scrape(client, stranger, other_tenant)
    assert (shows(mine, "default"), shows(mine, "other")) == (True, False)
    assert (shows(theirs, "default"), shows(theirs, "other")) == (False, True)


def test_token_reads_nothing_of_the_process(client, admin_user, tenant):
    text = scrape(client, admin_user, tenant)
    assert not [name for name in OF_THE_PROCESS if name in text]


def test_token_behind_a_proxy_on_this_machine_reads_its_own_tenant_only(
    client, viewer_user, tenant
):
    headers = {"X-Forwarded-For": "127.0.0.1"}
    text = scrape(client, viewer_user, tenant, REMOTE_ADDR="127.0.0.1", headers=headers)
    assert not shows(text, "other")
    assert "dialer_tasks" not in text


def test_superuser_reads_everything_from_anywhere(client, superuser, tenant):
    text = scrape(client, superuser, tenant)
    assert shows(text, "default")
    assert shows(text, "other")
    assert "dialer_live_subscriptions" in text


def test_this_machine_reads_everything(client):
    text = client.get("/metrics").content.decode()
    assert shows(text, "default")
    assert shows(text, "other")


def test_reader_that_fails_costs_only_its_own_metrics(monkeypatch):
    def fail(_tenant_id):
        raise OSError("gone")

    monkeypatch.setitem(tenant_metrics._readers, "broken", fail)
    assert b"host-of-default" in tenant_metrics.text_of("default")
