"""REST of what surrounds probes: summaries, incidents, maintenance, files, metrics."""

from __future__ import annotations

import csv
import io
import json

import pytest
from django.utils import timezone

from dialer_platform.console import tenant_metrics
from tasks.probes.exporting import cell
from tasks.probes.metrics import expiry_of
from tasks.probes.models import MaintenanceWindow
from tasks.probes.rollups import follower
from tasks.probes.services import states
from tests.tasks.probes.conftest import bring, result

URL = "/api/v1/probes/"
WINDOW = {"name": "w", "starts_at": "2026-11-21T10:00:00Z", "ends_at": "2026-11-21T12:00:00Z"}


@pytest.fixture
def client(api_client, operator_user):
    """Return an operator's REST client."""
    return api_client(operator_user)


def test_summary_over_a_window(client, agent, probe):
    bring(agent, result(probe), result(probe, "down"))
    follower.follow()
    shown = client.get(f"{URL}{probe.pk}/summary/?window=24h").json()
    assert (shown["availability"], shown["window_seconds"]) == (0.5, 86_400)


@pytest.mark.parametrize("window", ["x", "0h", "-1d", "400d", "9999999d", "1y"])
def test_wrong_window_is_named(client, probe, window):
    answer = client.get(f"{URL}{probe.pk}/summary/?window={window}")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, ["window"])


def test_incidents_are_listed_by_probe_and_openness(client, agent, probe):
    bring(agent, result(probe, "down"), result(probe, "down", error="x"))
    states.follow()
    shown = client.get(f"{URL}incidents/?probe={probe.pk}&open=true").json()
    assert [one["probe_id"] for one in shown["results"]] == [probe.pk]
    assert client.get(f"{URL}incidents/?open=false").json()["count"] == 0


def test_incidents_of_another_tenant_stay_there(api_client, stranger, agent, probe):
    bring(agent, result(probe, "down"), result(probe, "down"))
    states.follow()
    assert api_client(stranger).get(f"{URL}incidents/").json()["count"] == 0


def test_maintenance_is_planned_changed_and_deleted(client, probe):
    made = client.post(f"{URL}maintenance/", {**WINDOW, "probes": [probe.pk]}, format="json")
    assert (made.status_code, made.json()["probes"]) == (201, [probe.pk])
    url = f"{URL}maintenance/{made.json()['id']}/"
    assert client.patch(url, {"name": "other"}, format="json").json()["name"] == "other"
    assert client.delete(url).status_code == 204
    assert not MaintenanceWindow.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("starts_at", "soon"),
        ("ends_at", "2026-11-21T09:00:00Z"),
        ("ends_at", "2029-01-01T00:00:00Z"),
        ("recurrence", "sometimes"),
        ("weekdays", [7]),
        ("probes", [424242]),
        ("until", 7),
    ],
)
def test_wrong_field_of_maintenance_is_named(client, field, value):
    answer = client.post(f"{URL}maintenance/", {**WINDOW, field: value}, format="json")
    assert (answer.status_code, list(answer.json()["fields"])) == (400, [field])


def test_maintenance_that_repeats_is_shorter_than_a_week(client):
    fields = {**WINDOW, "recurrence": "weekly", "ends_at": "2026-11-30T12:00:00Z"}
    answer = client.post(f"{URL}maintenance/", fields, format="json")
    assert list(answer.json()["fields"]) == ["ends_at"]


def test_probes_are_exported_without_formulas(client, new_probe):
    new_probe(name='=HYPERLINK("http://evil")')
    answer = client.get(f"{URL}export/?download=csv")
    (row,) = csv.DictReader(io.StringIO(answer.getvalue().decode()))
    assert row["name"] == '\'=HYPERLINK("http://evil")'
    assert "attachment" in answer["Content-Disposition"]


def test_export_shows_nothing_of_another_tenant(client, api_client, stranger, probe):
    assert json.loads(client.get(f"{URL}export/").getvalue())[0]["id"] == probe.pk
    assert json.loads(api_client(stranger).get(f"{URL}export/").getvalue()) == []


def test_results_are_exported(client, agent, probe):
    bring(agent, result(probe, "down", error="@x"))
    url = f"{URL}{probe.pk}/results/?download="
    (row,) = csv.DictReader(io.StringIO(client.get(f"{url}csv").getvalue().decode()))
    assert (row["outcome"], row["error"]) == ("down", "'@x")
    assert json.loads(client.get(f"{url}json").getvalue())[0]["error"] == "@x"
    assert client.get(f"{url}xls").status_code == 400


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_cell_that_begins_like_a_formula_is_text(text):
    assert cell(text) == f"'{text}"


def test_numbers_stay_numbers():
    assert [cell(-1), cell(0.5), cell(None), cell(["a"])] == ["-1", "0.5", "", '["a"]']


def test_metrics_have_the_names_of_blackbox_exporter(agent, probe):
    details = {"status": 200, "certificate": {"not_after": 2_000_000_000}}
    bring(agent, result(probe, phases={"dns": 0.25, "connect": 0.5}, details=details))
    states.follow()
    text = tenant_metrics.text_of("default").decode()
    labels = f'agent="box",kind="http",name="site",probe="{probe.pk}"'
    assert f"probe_success{{{labels}," in text
    for name in (
        "probe_duration_seconds",
        "probe_http_duration_seconds",
        "probe_dns_lookup_time_seconds",
        "probe_http_status_code",
        "probe_ssl_earliest_cert_expiry",
    ):
        assert f"\n{name}{{" in text
    assert 'phase="connect"' in text


@pytest.mark.parametrize(
    ("details", "seconds"),
    [
        ({}, None),
        ({"not_after": "soon"}, None),
        ({"not_after": 5}, 5.0),
        ({"certificate": {"not_after": "1970-01-01T00:01:00+00:00"}}, 60.0),
        ({"certificate": "x"}, None),
    ],
)
def test_expiry_is_read_from_what_the_kind_found(details, seconds):
    assert expiry_of(details) == seconds


def test_list_of_probes_takes_a_constant_number_of_queries(
    client, agent, new_probe, django_assert_max_num_queries
):
    for number in range(5):
        bring(agent, result(new_probe(name=str(number))))
    states.follow()
    assert timezone.now()
    with django_assert_max_num_queries(9):
        assert client.get(URL).json()["count"] == 5


@pytest.mark.parametrize("number", ["1e30", "99999999999999999999", "-1", "0", "x"])
def test_incidents_of_a_number_that_no_probe_has_are_refused(client, number):
    answer = client.get(f"{URL}incidents/?probe={number}")
    assert answer.status_code == 400
    assert list(answer.json()["fields"]) == ["probe"]
