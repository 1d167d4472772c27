"""Verbs on plug-ins: one host, many hosts by labels, what is refused, who hears of it."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Ack
from agents import connections
from agents.models import Agent
from agents.plugins import wanted
from agents.plugins.models import AgentPlugin, PluginDuty
from agents.plugins.packages import upload_package
from agents.plugins.services import (
    Change,
    activate_built_in,
    remove_plugin,
    remove_plugin_by_labels,
    set_plugin,
    set_plugin_by_labels,
)
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict, Invalid, NotFound
from tests.agents.plugins.conftest import SIGNATURE

pytestmark = pytest.mark.django_db


def test_set_plugin_is_remembered_numbered_and_audited(agent, principal):
    row = set_plugin(agent, "cpu", by=principal, change=Change(config={"per_core": True}))
    assert (row.enabled, row.interval_seconds, row.config) == (True, 10.0, {"per_core": True})
    assert row.updated_by == principal.name
    found = wanted.read_set(agent.id, agent.tenant_id)
    assert found.revision == PluginDuty.objects.get(agent=agent).number
    entry = AuditEvent.objects.get(action="plugin.change")
    assert entry.detail == {"plugin": "cpu", "config": ["per_core"]}


def test_change_keeps_what_it_does_not_name(agent):
    set_plugin(agent, "cpu", by="t", change=Change(interval_seconds=5, config={"per_core": True}))
    row = set_plugin(agent, "cpu", by="t", change=Change(enabled=False))
    assert (row.enabled, row.interval_seconds, row.config) == (False, 5.0, {"per_core": True})


def test_same_content_has_the_same_number_and_the_empty_set_one_of_its_own(agent):
    numbers = []
    for enabled in (True, False, True):
        set_plugin(agent, "cpu", by="t", change=Change(enabled=enabled))
        numbers.append(wanted.read_set(agent.id, agent.tenant_id).revision)
    assert numbers[0] == numbers[2] != numbers[1]
    assert 0 not in numbers


def test_connected_host_hears_of_a_change_after_the_commit(
    agent, monkeypatch, django_capture_on_commit_callbacks
):
    sent = []

    class Socket:
        def send(self, messages):
            sent.extend(messages)

    monkeypatch.setattr(connections, "get", lambda _agent_id: Socket())
    with django_capture_on_commit_callbacks() as callbacks:
        set_plugin(agent, "cpu", by="t", change=Change())
    assert not sent
    for call in callbacks:
        call()
    number = wanted.read_set(agent.id, agent.tenant_id).revision
    assert sent == [Ack(message_id="", plugins_revision=number)]
    assert wanted.duty(agent.id).names == {"cpu"}


@pytest.mark.parametrize(
    ("name", "change", "field"),
    [
        ("CPU", Change(), "name"),
        ("", Change(), "name"),
        ("a" * 41, Change(), "name"),
        ("cpu\n", Change(), "name"),
        ("cpu", Change(interval_seconds=0.5), "interval_seconds"),
        ("cpu", Change(interval_seconds=float("nan")), "interval_seconds"),
        ("cpu", Change(interval_seconds=float("inf")), "interval_seconds"),
        ("cpu", Change(interval_seconds=86_401), "interval_seconds"),
        ("cpu", Change(config={"x": "y" * 40_000}), "config"),
        ("cpu", Change(config={"x": "\0"}), "config"),
        ("cpu", Change(config={"x": object()}), "config"),
        ("cpu", Change(package_id=1), "package"),
        ("unknown", Change(), "package"),
        ("unknown", Change(package_id=77), "package"),
    ],
)
def test_what_cannot_be_is_refused_with_its_field(agent, name, change, field):
    with pytest.raises(Invalid) as refused:
        set_plugin(agent, name, by="t", change=change)
    assert list(refused.value.fields) == [field]
    assert not AgentPlugin.objects.exists()


def test_config_that_is_too_deep_is_refused(agent):
    config: dict[str, object] = {}
    for _ in range(30):
        config = {"x": config}
    with pytest.raises(Invalid):
        set_plugin(agent, "cpu", by="t", change=Change(config=config))


def test_package_of_another_tenant_is_no_package(agent, archive, other_tenant):
    data = archive()
    package = upload_package(tenant_id=other_tenant.id, data=data, signature=SIGNATURE, by="t")
    with pytest.raises(Invalid):
        set_plugin(agent, "gpu_temperature", by="t", change=Change(package_id=package.pk))


def test_a_host_has_only_so_many_plugins(agent, monkeypatch):
    monkeypatch.setattr("agents.plugins.services.MAX_PLUGINS_PER_AGENT", 2)
    set_plugin(agent, "cpu", by="t", change=Change())
    set_plugin(agent, "disk", by="t", change=Change())
    set_plugin(agent, "disk", by="t", change=Change(enabled=False))
    with pytest.raises(Invalid):
        set_plugin(agent, "memory", by="t", change=Change())


def test_revoked_host_takes_no_plugin(enrol):
    agent = enrol(revoked_at=timezone.now())[0]
    with pytest.raises(Conflict):
        set_plugin(agent, "cpu", by="t", change=Change())


def test_one_button_activates_what_needs_no_configuration(agent):
    set_plugin(agent, "cpu", by="t", change=Change(enabled=False, interval_seconds=3))
    activate_built_in(agent, by="t")
    rows = {row.name: row for row in AgentPlugin.objects.filter(enabled=True)}
    assert set(rows) == {"cpu", "memory", "disk", "network"}
    assert rows["cpu"].interval_seconds == 3.0


def test_by_labels_reaches_exactly_the_hosts_that_carry_all_of_them(
    enrol, other_tenant, django_assert_max_num_queries
):
    labels = {"zone": "lab", "gpu": "a100"}
    one = enrol("one", labels=labels)[0]
    two = enrol("two", labels=labels | {"more": "x"})[0]
    enrol("half", labels={"zone": "lab"})
    enrol("foreign", tenant_id="other", labels=labels)
    enrol("revoked", labels=labels, revoked_at=timezone.now())
    with django_assert_max_num_queries(20):
        hosts = set_plugin_by_labels(
            tenant_id="default", labels=labels, name="cpu", by="t", change=Change()
        )
    assert set(hosts) == {one.id, two.id}
    assert set(AgentPlugin.objects.values_list("agent_id", flat=True)) == set(hosts)
    again = remove_plugin_by_labels(tenant_id="default", labels={}, name="cpu", by="t")
    assert set(again) == set(hosts)
    assert not AgentPlugin.objects.exists()


def test_cost_of_a_change_by_labels_does_not_grow_with_the_hosts(
    enrol, django_assert_max_num_queries
):
    for number in range(30):
        enrol(f"host{number}")
    with django_assert_max_num_queries(20):
        set_plugin_by_labels(tenant_id="default", labels={}, name="cpu", by="t", change=Change())
    assert AgentPlugin.objects.count() == Agent.objects.count() == 30


def test_removed_plugin_is_gone_and_a_second_removal_is_missing(agent, archive):
    package = upload_package(tenant_id="default", data=archive(), signature=SIGNATURE, by="t")
    set_plugin(agent, "gpu_temperature", by="t", change=Change(package_id=package.pk))
    remove_plugin(agent, "gpu_temperature", by="t")
    assert wanted.read_set(agent.id, agent.tenant_id).plugins == ()
    with pytest.raises(NotFound):
        remove_plugin(agent, "gpu_temperature", by="t")


def test_number_changed_by_another_process_is_read_when_rung(agent):
    set_plugin(agent, "cpu", by="t", change=Change())
    wanted.clear()
    assert wanted.revision(agent.id) == 0
    wanted.on_ring({"agent_id": agent.id})
    wanted.read_rung()
    assert wanted.revision(agent.id) == PluginDuty.objects.get().number
