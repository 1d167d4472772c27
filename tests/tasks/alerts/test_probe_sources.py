"""What is wrong with probes."""

from __future__ import annotations

import pytest
from django.utils import timezone

from agents.models import Agent
from tasks.alerts.probe_sources import (
    days_left,
    expiring_certificates,
    labels_of,
    probes_down,
    probes_impaired,
)
from tasks.probes.models import Incident, Location, Probe

NOW = timezone.now()


@pytest.fixture
def probe(tenant) -> Probe:
    """A probe with tags."""
    return Probe.objects.create(
        tenant=tenant, name="shop", kind="http", target="http://shop/", tags=["team=web", "core"]
    )


def test_open_incident_is_a_problem_with_the_probes_tags(probe) -> None:
    Incident.objects.create(tenant=probe.tenant, probe=probe, started_at=NOW, error="refused")
    (found,) = probes_down(probe.tenant_id, NOW)
    assert (found.title, found.text) == ("shop is down", "http://shop/\nrefused")
    assert (found.labels, found.is_suppressed) == ({"team": "web", "core": ""}, False)


def test_ended_incident_is_none(probe) -> None:
    Incident.objects.create(tenant=probe.tenant, probe=probe, started_at=NOW, ended_at=NOW)
    assert probes_down(probe.tenant_id, NOW) == []


@pytest.mark.parametrize("by", ["maintenance", "probe:7"])
def test_incident_that_is_kept_quiet_is_suppressed(probe, by) -> None:
    Incident.objects.create(tenant=probe.tenant, probe=probe, started_at=NOW, suppressed_by=by)
    assert probes_down(probe.tenant_id, NOW)[0].is_suppressed


@pytest.mark.parametrize(
    ("state", "event"), [("degraded", "probe_degraded"), ("unknown", "probe_unknown")]
)
def test_impaired_probe_is_a_problem(probe, state, event) -> None:
    Probe.objects.update(state=state, state_since=NOW)
    (found,) = probes_impaired(probe.tenant_id, NOW)
    assert (found.event, found.since) == (event, NOW)


@pytest.mark.parametrize("change", [{"state": "up"}, {"state": "unknown", "enabled": False}])
def test_other_probes_are_none(probe, change) -> None:
    Probe.objects.update(**change)
    assert probes_impaired(probe.tenant_id, NOW) == []


def test_certificate_that_ends_first_is_told(probe) -> None:
    for name, days in (("a", 40), ("b", 9)):
        Location.objects.create(
            probe=probe,
            agent=Agent.objects.create(tenant=probe.tenant, name=name),
            last_details={"certificates": [{"days_left": days}, {"days_left": 300}]},
        )
    (found,) = expiring_certificates(probe.tenant_id, NOW)
    assert (found.days_left, found.title) == (9, "Certificate of shop: 9 days left")


@pytest.mark.parametrize(
    "details", [None, [], {}, {"certificates": "x"}, {"certificates": [1, {"days_left": "soon"}]}]
)
def test_nonsense_of_a_host_is_no_certificate(details) -> None:
    assert days_left(details) is None


def test_tags_become_labels() -> None:
    assert labels_of(["team=web", "core", "a=b=c"]) == {"team": "web", "core": "", "a": "b=c"}


def test_problems_stay_in_their_tenant(probe, other_tenant) -> None:
    Incident.objects.create(tenant=probe.tenant, probe=probe, started_at=NOW)
    Probe.objects.update(state="unknown")
    assert probes_down(other_tenant.id, NOW) == []
    assert probes_impaired(other_tenant.id, NOW) == []
