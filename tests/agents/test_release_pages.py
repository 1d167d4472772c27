"""Roll-outs on pages and by REST: begun by admins only, foreign ones missing."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agent_client.protocol.releases import ReleaseState
from agents.distribution import releases
from agents.distribution.wheel import Wheel
from agents.models import Agent, HostRelease, Rollout
from agents.services.host_releases import note_states

# The page of a host shows curves, which lie in a database of their own.
pytestmark = pytest.mark.django_db(databases="__all__")
PAGE = "/agents/rollouts/"
API = "/api/v1/agents/rollouts/"


@pytest.fixture
def host(enrol):
    """Return a host that can be upgraded."""
    found, _ = enrol("box", status="online", online_since=timezone.now(), version="0.0.1")
    note_states({found.id: ReleaseState(sha256="a" * 64, can_change=True)}, timezone.now())
    return found


def test_page_begins_a_rollout_and_shows_it(client, admin_user, host):
    client.force_login(admin_user)
    version = client.get("/agent/release.json").json()["version"]
    body = {"version": version, "labels": "", "stages": "1, 100%", "soak_seconds": "5"}
    assert client.post(PAGE, body).status_code in (200, 302)
    assert list(Rollout.objects.get().hosts.values_list("agent_id", flat=True)) == [host.id]
    text = client.get(PAGE).content.decode()
    assert "box" in text
    assert f'data-testid="rollout-{Rollout.objects.get().pk}"' in text


def test_page_says_what_is_wrong(client, admin_user, host):
    client.force_login(admin_user)
    version = client.get("/agent/release.json").json()["version"]
    body = {"version": version, "labels": "", "stages": "lots", "soak_seconds": "5"}
    answer = client.post(PAGE, body)
    assert answer.status_code == 422
    assert "is no stage" in answer.content.decode()


def test_viewer_sees_and_does_not_begin(client, viewer_user, host):
    client.force_login(viewer_user)
    text = client.get(PAGE).content.decode()
    assert "rollout-start" not in text
    assert client.post(PAGE, {}).status_code == 403
    assert client.post(f"/agents/{host.id}/upgrade/").status_code == 403


def test_foreign_rollout_is_missing(client, admin_user, other_tenant):
    theirs = Rollout.objects.create(tenant=other_tenant, version="1", stage_began_at=timezone.now())
    client.force_login(admin_user)
    assert client.post(f"{PAGE}{theirs.pk}/pause/").status_code == 404
    assert client.get(f"{API}{theirs.pk}/").status_code == 404


def test_upgrade_by_rest_is_shown_on_the_hosts_page(client, admin_user, host):
    client.force_login(admin_user)
    answer = client.post(f"/api/v1/agents/{host.id}/upgrade/", {}, content_type="application/json")
    assert answer.json()["release"]["is_changing"]
    assert "Changing to version" in client.get(f"/agents/{host.id}/").content.decode()
    HostRelease.objects.update(failed_order=1, failed_code="x", failed_detail="It crashed.")
    assert "It crashed." in client.get(f"/agents/{host.id}/").content.decode()


def test_rest_begins_pauses_and_rolls_back(client, admin_user, host):
    client.force_login(admin_user)
    made = client.post(API, {"stages": ["1"]}, content_type="application/json").json()
    for verb, state in (("pause", "paused"), ("resume", "running"), ("roll-back", "rolled_back")):
        assert client.post(f"{API}{made['id']}/{verb}/").json()["state"] == state


def test_menu_offers_the_versions_that_the_host_ran_before(client, admin_user, host, settings):
    client.force_login(admin_user)
    folder = settings.DIALER_DATA_DIR / releases.FOLDER
    for version in ("0.0.1", "0.0.2"):
        releases.publish(Wheel(version, version.encode()), folder)
    rows = [("0.0.2", "0.0.1"), ("0.0.1", "0.0.2"), ("gone", "0.0.1")]
    changes = [
        {"at": timezone.now().isoformat(), "what": "agent_version", "before": old, "after": new}
        for old, new in rows
    ]
    Agent.objects.update(system={"changes": changes})
    html = client.get(f"/agents/{host.id}/").content.decode()
    assert html.count(f'data-testid="agent-back-{host.id}"') == 1
    assert "Back to version 0.0.2" in html
    client.post(f"/agents/{host.id}/upgrade/", {"version": "0.0.2"})
    assert HostRelease.objects.get().wanted_version == "0.0.2"


def test_host_that_takes_no_upgrades_is_offered_no_way_back(client, admin_user, host):
    client.force_login(admin_user)
    HostRelease.objects.update(can_change=False)
    assert "agent-back-" not in client.get(f"/agents/{host.id}/").content.decode()


@pytest.mark.parametrize(
    ("changes", "is_offered"),
    [
        ({}, True),
        ({"sha256": "own"}, False),
        ({"sha256": "own", "wanted_sha256": "b" * 64}, True),
        ({"can_change": False}, False),
    ],
    ids=["older", "the server's", "the server's, about to change", "takes none"],
)
def test_upgrade_is_offered_to_hosts_that_lack_the_servers_version(
    client, admin_user, host, changes, is_offered
):
    client.force_login(admin_user)
    if "sha256" in changes:
        changes = {**changes, "sha256": releases.current().sha256}
    HostRelease.objects.update(**changes)
    for page in (f"/agents/{host.id}/", "/agents/"):
        html = client.get(page).content.decode()
        assert (f'data-testid="agent-upgrade-{host.id}"' in html) is is_offered
