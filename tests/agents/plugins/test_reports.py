"""What hosts say of their plug-ins: one write for what changed, none for what did not."""

from __future__ import annotations

import pytest

from agent_client.protocol.plugins import PluginState
from agents import hot
from agents.plugins import refusals, reports
from agents.plugins.models import PluginReport
from dialer_platform.accounts.models import AuditEvent
from tests.agents import wire

pytestmark = pytest.mark.django_db


def say(speaker, *states: PluginState) -> list[hot.HotAgent]:
    """Return the host after a beat that says these states."""
    hot.note_beat(speaker, wire.beat(speaker.agent_id, plugins=states))
    return hot.take_changed()


def state(**changes) -> PluginState:
    """Return a running plug-in."""
    return PluginState(**({"name": "cpu", "condition": "running", "since": 1.5e9} | changes))


def test_states_are_written_changed_and_forgotten(speaker):
    reports.take(say(speaker, state(version="1.0"), state(name="disk", condition="starting")))
    reports.take(
        say(speaker, state(version="1.0"), state(name="disk", condition="failed", restarts=3))
    )
    rows = {row.name: row for row in PluginReport.objects.all()}
    assert (rows["cpu"].version, rows["cpu"].since.timestamp()) == ("1.0", 1.5e9)
    assert (rows["disk"].condition, rows["disk"].restarts) == ("failed", 3)
    reports.take(say(speaker))
    assert not PluginReport.objects.exists()


def test_beat_that_says_nothing_new_is_no_query(speaker, django_assert_num_queries):
    reports.take(say(speaker, state()))
    hosts = say(speaker, state())
    with django_assert_num_queries(0):
        reports.take(hosts)


def test_restarted_server_forgets_plugins_that_are_gone(speaker):
    reports.take(say(speaker, state(), state(name="disk")))
    reports.clear()
    reports.take(say(speaker, state()))
    assert list(PluginReport.objects.values_list("name", flat=True)) == ["cpu"]


DENIED = {"condition": "refused", "code": "policy_denied", "detail": "plugins.allowed: demo"}


def audited() -> list[tuple[str, str, str, dict[str, str]]]:
    """Return what the audit has of refusals: who, tenant, about which host, and what."""
    rows = AuditEvent.objects.filter(action="policy.refused").order_by("id")
    return list(rows.values_list("actor", "tenant_id", "object_id", "detail"))


def test_refusal_by_the_policy_is_audited_once_for_each_change(speaker):
    def tell(**changes: str) -> None:
        reports.take(say(speaker, state(name="demo", **changes)))

    tell(**DENIED)
    tell(**DENIED, version="1")
    entry = {"kind": "plugin", "name": "demo", "reason": "plugins.allowed: demo"}
    who = f"agent:{speaker.agent_id}"
    assert audited() == [(who, speaker.tenant_id, speaker.agent_id, entry)]
    reports.clear()  # as after a restart of the server
    tell(**DENIED, version="2")
    assert len(audited()) == 1
    tell()
    tell(**DENIED)
    tell(**DENIED | {"detail": "plugins.install: false"})
    assert [detail["reason"] for *_, detail in audited()[1:]] == [
        "plugins.allowed: demo",
        "plugins.install: false",
    ]


def test_other_refusals_and_failures_are_not_audited_as_the_policys(speaker):
    for changes in (
        {"condition": "refused", "code": "package_refused"},
        {"condition": "failed", "code": "policy_denied"},
        {"condition": "refused"},
    ):
        reports.take(say(speaker, state(**changes)))
    assert audited() == []


def test_host_cannot_fill_the_audit(speaker, monkeypatch):
    monkeypatch.setattr(refusals, "MAX_PER_HOST_A_DAY", 3)
    for number in range(5):
        reports.take(say(speaker, state(**DENIED | {"detail": f"reason {number}"})))
    assert len(audited()) == 3
    assert PluginReport.objects.get().detail == "reason 4"


def test_nonsense_of_a_host_is_cut_or_left_out(speaker):
    hostile = state(
        version="v" * 900,
        detail="d\0" * 900,
        code="No Code!",
        restarts=2**63,
        dropped_samples=-5,
        since=1e300,
    )
    reports.take(say(speaker, hostile, state(name="../x")))
    row = PluginReport.objects.get()
    assert (len(row.version), len(row.detail), row.since) == (40, 500, None)
    assert row.code == ""
    assert (row.restarts, row.dropped_samples) == (reports.MAX_COUNT, 0)
    assert "\0" not in row.detail


def test_states_beyond_the_bound_are_not_remembered(speaker):
    many = [state(name=f"p{number}") for number in range(80)]
    (host,) = say(speaker, *many)
    assert len(host.plugins) == hot.MAX_PLUGINS
