"""Roll-outs stage by stage: they advance, halt with a reason, resume and roll back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from agent_client.protocol.releases import ReleaseState
from agents import housekeeping
from agents.distribution import releases
from agents.distribution.wheel import Wheel
from agents.models import Agent, HostRelease, Rollout
from agents.services import rollouts
from agents.services.host_releases import note_states, upgrade_agent
from dialer_platform.errors import Conflict, Invalid

pytestmark = pytest.mark.django_db
OLD = Wheel("1.0", b"old")
NEW = Wheel("2.0", b"new")


@pytest.fixture
def hosts(enrol) -> list[Agent]:
    """Return three online hosts with the old version; both versions are on offer."""
    for wheel in (OLD, NEW):
        releases.publish(wheel, settings.DIALER_DATA_DIR / releases.FOLDER)
    found = []
    for name in ("a", "b", "c"):
        host, _ = enrol(
            name, status="online", online_since=long_ago(), version="1.0", labels={"zone": name}
        )
        say(host, OLD)
        found.append(host)
    return found


def long_ago():
    """Return a moment before any soak time."""
    return timezone.now() - timedelta(hours=1)


def say(host: Agent, wheel: Wheel, **changes) -> None:
    """Have a host say that it has run a wheel for an hour."""
    state = ReleaseState(**{"sha256": wheel.sha256, "can_change": True, **changes})
    note_states({host.id: state}, long_ago())


def begin(principal, **changes) -> Rollout:
    """Return a roll-out of the new version, one host first."""
    return rollouts.start_rollout(by=principal, version="2.0", stages=["1", "100%"], **changes)


def wanted(host: Agent) -> str:
    """Return the version that a host is to run."""
    return HostRelease.objects.get(agent=host).wanted_version


def test_stages_follow_each_other_until_all_hosts_run_it(hosts, principal):
    rollout = begin(principal)
    assert [wanted(host) for host in hosts] == ["2.0", "", ""]
    assert rollouts.advance_all() == 0
    say(hosts[0], NEW)
    assert rollouts.advance_all() == 1
    assert [wanted(host) for host in hosts] == ["2.0", "2.0", "2.0"]
    for host in hosts[1:]:
        say(host, NEW)
    rollouts.advance_all()
    rollout.refresh_from_db()
    assert rollout.state == "completed"


def test_broken_host_halts_it_and_the_others_stay(hosts, principal):
    rollout = begin(principal)
    say(hosts[0], OLD, failed_order=1, code="upgrade_taken_back", detail="It crashed.")
    rollouts.advance_all()
    rollout.refresh_from_db()
    assert (rollout.state, rollout.reason) == ("halted", "a: It crashed.")
    assert [wanted(host) for host in hosts] == ["2.0", "", ""]
    assert rollouts.advance_all() == 0


def test_resumed_rollout_asks_the_broken_host_again(hosts, principal):
    rollout = begin(principal)
    say(hosts[0], OLD, failed_order=1, code="upgrade_taken_back", detail="It crashed.")
    rollouts.advance_all()
    rollout.refresh_from_db()
    rollouts.resume_rollout(rollout, by=principal)
    assert HostRelease.objects.get(agent=hosts[0]).wanted_order == 2
    assert rollouts.advance_all() == 0
    assert Rollout.objects.get().state == "running"


def test_silent_host_halts_it_when_patience_ends(hosts, principal):
    rollout = begin(principal)
    Agent.objects.filter(id=hosts[0].id).update(status="offline", online_since=None)
    Rollout.objects.update(stage_began_at=long_ago())
    rollouts.advance_all()
    rollout.refresh_from_db()
    assert (rollout.state, rollout.reason) == ("halted", "a: It is offline.")


def test_paused_rollout_stands_still(hosts, principal):
    rollouts.pause_rollout(begin(principal), by=principal)
    say(hosts[0], NEW)
    assert rollouts.advance_all() == 0
    with pytest.raises(Conflict):
        rollouts.pause_rollout(Rollout.objects.get(), by=principal)


def test_rolled_back_hosts_are_wanted_as_they_were(hosts, principal):
    rollout = begin(principal)
    say(hosts[0], NEW)
    rollouts.roll_back(rollout, by=principal)
    row = HostRelease.objects.get(agent=hosts[0])
    assert (row.wanted_version, row.wanted_sha256) == ("1.0", OLD.sha256)
    assert row.wanted_bytes == len(OLD.data)
    assert wanted(hosts[1]) == ""
    assert Rollout.objects.get().state == "rolled_back"


def complete(rollout: Rollout, hosts: list[Agent], wheel: Wheel = NEW) -> Rollout:
    """Have all hosts run what they are wanted to, until the roll-out is over."""
    for _stage in rollout.stages:
        for host in hosts:
            say(host, wheel)
        rollouts.advance_all()
    rollout.refresh_from_db()
    assert rollout.state == "completed"
    return rollout


def offer_third() -> Wheel:
    """Return a third version, on offer."""
    wheel = Wheel("3.0", b"newer")
    releases.publish(wheel, settings.DIALER_DATA_DIR / releases.FOLDER)
    return wheel


def test_host_that_was_told_something_else_since_is_not_rolled_back(hosts, principal):
    rollout = complete(begin(principal), hosts)
    offer_third()
    upgrade_agent(hosts[1], by=principal, version="3.0")
    rollouts.roll_back(rollout, by=principal)
    assert [wanted(host) for host in hosts] == ["1.0", "3.0", "1.0"]


def test_rollout_is_not_rolled_back_while_another_one_has_its_hosts(hosts, principal):
    rollout = complete(begin(principal), hosts)
    third = offer_third()
    later = rollouts.start_rollout(
        by=principal, version="3.0", stages=["100%"], labels={"zone": "b"}
    )
    with pytest.raises(Conflict):
        rollouts.roll_back(rollout, by=principal)
    rollout.refresh_from_db()
    assert (rollout.state, wanted(hosts[0])) == ("completed", "2.0")
    complete(later, hosts[1:2], third)
    rollouts.roll_back(rollout, by=principal)
    assert [wanted(host) for host in hosts] == ["1.0", "3.0", "1.0"]


def test_former_versions_of_the_newest_completed_rollouts_are_kept(hosts, principal, monkeypatch):
    complete(begin(principal), hosts)
    assert OLD.sha256 in rollouts.digests_in_use()
    monkeypatch.setattr(rollouts, "MAX_COMPLETED_KEPT", 1)
    third = offer_third()
    complete(rollouts.start_rollout(by=principal, version="3.0", stages=["100%"]), hosts, third)
    assert NEW.sha256 in rollouts.digests_in_use()
    assert OLD.sha256 not in rollouts.digests_in_use()


def test_labels_choose_the_hosts(hosts, principal):
    rollout = begin(principal, labels={"zone": "b"})
    assert [place.agent_id for place in rollout.hosts.all()] == [hosts[1].id]


def test_host_is_in_one_open_rollout_only(hosts, principal):
    begin(principal)
    with pytest.raises(Conflict):
        begin(principal)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"labels": {"zone": "z"}}, "labels"), ({"labels": {"": "z"}}, "labels")],
)
def test_rollout_without_hosts_is_refused(hosts, principal, changes, field):
    with pytest.raises(Invalid) as caught:
        begin(principal, **changes)
    assert field in caught.value.fields


def test_releases_on_the_way_are_kept(hosts, principal):
    begin(principal)
    folder = settings.DIALER_DATA_DIR / releases.FOLDER
    for number in range(3, 12):
        releases.publish(Wheel(f"{number}.0", b"%d" % number), folder)
    gone = housekeeping.delete_old_releases()
    kept = {one.version for one in releases.on_offer()}
    assert {"1.0", "2.0"} <= kept
    assert len(kept) == releases.KEPT_RELEASES + 2
    assert not kept & set(gone)
