"""What plug-ins say of their metrics: written once their report is there, used by /metrics."""

from __future__ import annotations

import time

import pytest
from django.utils import timezone

from agent_client.protocol.plugins import MetricAbout, PluginSample
from agents.plugins import descriptions, metrics, store
from agents.plugins.models import PluginReport

pytestmark = pytest.mark.django_db

ABOUT = {
    "runs": MetricAbout(unit="", help="Runs so far.", kind="counter"),
    "heat": MetricAbout(unit="°C"),
}
STORED = {"runs": {"help": "Runs so far.", "kind": "counter"}, "heat": {"unit": "°C"}}


def report(agent, name: str = "gpu") -> PluginReport:
    """Return a written report."""
    return PluginReport.objects.create(
        tenant=agent.tenant,
        agent=agent,
        name=name,
        condition="running",
        reported_at=timezone.now(),
    )


def test_description_waits_for_its_report(agent, django_assert_num_queries):
    descriptions.note(agent.id, "gpu", ABOUT)
    descriptions.write()
    report(agent)
    descriptions.write()
    assert PluginReport.objects.get().metrics == STORED
    with django_assert_num_queries(0):
        descriptions.write()


def test_known_description_is_not_written_again(agent, django_assert_num_queries):
    report(agent)
    descriptions.note(agent.id, "gpu", ABOUT)
    descriptions.write()
    descriptions.note(agent.id, "gpu", ABOUT)
    with django_assert_num_queries(1):  # the look at the report
        descriptions.write()


def test_description_without_a_report_is_let_go_and_waiting_is_bounded(agent, monkeypatch):
    monkeypatch.setattr(descriptions, "WAIT_SECONDS", -1.0)
    descriptions.note(agent.id, "gpu", ABOUT)
    descriptions.write()
    assert not descriptions._waiting
    monkeypatch.setattr(descriptions, "MAX_WAITING", 1)
    descriptions.note(agent.id, "gpu", ABOUT)
    descriptions.note(agent.id, "other", ABOUT)
    assert list(descriptions._waiting) == [(agent.id, "gpu")]


def families(agent) -> dict[str, list[dict[str, str]]]:
    """Return the labels of the samples of each family of /metrics."""
    now = time.time()
    measured = {"runs[a]": 7.0, "heat": 61.0, "other": 1.0}
    store.add(agent.id, [PluginSample("gpu", now, measured)], tenant_id=agent.tenant_id)
    return {
        sample.name: [one.labels for one in family.samples]
        for family in metrics.read(agent.tenant_id)
        for sample in family.samples
    }


def test_metrics_know_counters_and_what_a_metric_is(agent):
    report(agent)
    descriptions.note(agent.id, "gpu", ABOUT)
    descriptions.write()
    found = families(agent)
    assert [one["metric"] for one in found["dialer_plugin_counter_total"]] == ["runs[a]"]
    assert [one["metric"] for one in found["dialer_plugin_value"]] == ["heat", "other"]
    base = {"tenant": agent.tenant_id, "plugin": "gpu"}
    assert found["dialer_plugin_metric_info"] == [
        base | {"metric": "heat", "kind": "gauge", "unit": "°C", "help": ""},
        base | {"metric": "runs", "kind": "counter", "unit": "", "help": "Runs so far."},
    ]


def test_metrics_of_a_plugin_that_says_nothing_are_gauges(agent):
    found = families(agent)
    assert len(found["dialer_plugin_value"]) == 3
    assert "dialer_plugin_counter_total" not in found
