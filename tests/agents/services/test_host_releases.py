"""What hosts say of their release, and how one is told to change."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agent_client.protocol.releases import ReleaseState
from agents import release_duty
from agents.distribution import releases
from agents.models import HostRelease
from agents.services.host_releases import note_states, upgrade_agent
from agents.services.main_agents import revoke_agent
from dialer_platform.accounts.models import AuditEvent
from dialer_platform.errors import Conflict, Invalid

pytestmark = pytest.mark.django_db
OLD = "a" * 64


def say(agent, **changes) -> HostRelease:
    """Have a host say what it runs."""
    note_states(
        {agent.id: ReleaseState(**{"sha256": OLD, "can_change": True, **changes})}, timezone.now()
    )
    return HostRelease.objects.get(agent=agent)


def test_upgrade_reaches_memory_and_audit(agent, principal):
    say(agent)
    upgrade_agent(agent, by=principal)
    own = releases.current()
    assert release_duty.refresh() == 1
    wanted = release_duty.wanted(agent.id)
    assert (wanted.sha256, wanted.size_bytes) == (own.sha256, own.path.stat().st_size)
    assert AuditEvent.objects.get(action="agent.upgrade").detail == {"version": own.version}


def test_host_that_runs_it_is_told_nothing(agent):
    say(agent)
    upgrade_agent(agent, by="x")
    say(agent, sha256=releases.current().sha256)
    assert release_duty.refresh() == 0


def test_host_that_failed_is_told_nothing_until_it_is_asked_again(agent):
    say(agent)
    upgrade_agent(agent, by="x")
    row = say(agent, failed_order=1, code="upgrade_taken_back", detail="It crashed.")
    assert (row.has_failed, row.is_changing, release_duty.refresh()) == (True, False, 0)
    upgrade_agent(agent, by="x")
    assert release_duty.refresh() == 1
    assert release_duty.wanted(agent.id).order == 2


def test_refusal_by_the_hosts_policy_is_audited_once(agent):
    say(agent)
    upgrade_agent(agent, by="x", version=releases.current().version)
    for _again in range(2):
        say(agent, failed_order=1, code="policy_denied", detail="No (upgrades: false).")
    say(
        agent,
        failed_order=1,
        code="policy_denied",
        detail="No (upgrades: false).",
        can_change=False,
    )
    entry = AuditEvent.objects.get(action="policy.refused")
    assert (entry.actor, entry.object_id) == (f"agent:{agent.id}", agent.id)
    version = releases.current().version
    reason = "No (upgrades: false)."
    assert entry.detail == {"kind": "release", "version": version, "reason": reason}


def test_other_failure_of_a_release_is_no_refusal(agent):
    say(agent)
    upgrade_agent(agent, by="x")
    say(agent, failed_order=1, code="upgrade_taken_back", detail="It crashed.")
    assert not AuditEvent.objects.filter(action="policy.refused").exists()


def test_time_of_a_version_counts_from_its_first_word(agent):
    first = say(agent).running_since
    assert say(agent, failed_order=1, code="x").running_since == first
    assert say(agent, sha256="b" * 64).running_since > first


def test_what_a_host_says_is_cut(agent):
    row = say(agent, code="c" * 999, detail="d\0" * 999)
    assert (len(row.failed_code), len(row.failed_detail)) == (64, 250)


@pytest.mark.parametrize("said", [None, {"can_change": False}])
def test_host_that_cannot_change_is_refused(agent, said):
    if said is not None:
        say(agent, **said)
    with pytest.raises(Conflict):
        upgrade_agent(agent, by="x")


def test_revoked_host_is_refused(agent):
    say(agent)
    with pytest.raises(Conflict):
        upgrade_agent(revoke_agent(agent, by="x"), by="x")


def test_unknown_version_is_named(agent):
    say(agent)
    with pytest.raises(Invalid) as caught:
        upgrade_agent(agent, by="x", version="7.7")
    assert "version" in caught.value.fields
