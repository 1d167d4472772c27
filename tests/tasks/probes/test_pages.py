"""The probe pages: list, form, detail, incidents, and what panels show of them elsewhere."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.utils import timezone

from agent_client.protocol.messages import Heartbeat, ProbePool, ThreadPool
from agents import hot
from tasks.probes.models import Incident, Location, Probe, ProbeRunRequest
from tasks.probes.rollups.sums import DAY, HOUR, MINUTE, STEPS
from tasks.probes.series.models import RollUp
from tests.tasks.probes.conftest import bring, result, speaker

FORM = {
    "kind": "http",
    "name": "shop",
    "target": "http://127.0.0.1:1/health",
    "interval": 30,
    "policy": "majority",
    "fail_threshold": 2,
    "recover_threshold": 1,
    "enabled": "on",
    "config-ip_version": "any",
    "config-method": "POST",
    "config-headers": "X-A: 1\nX-B: two, three",
    "config-expected_status": "200, 404",
    "config-warn_ms": "250",
    "config-max_body_bytes": "1048576",
    "config-max_redirects": "5",
    "config-follow_redirects": "on",
    "config-verify_tls": "on",
    "config-json_path": "ok",
    "config-json_equals": "true",
    "config-password": "hush",
    "config-username": "me",
}


@pytest.fixture
def browser(page_client, operator_user):
    """An operator's browser."""
    return page_client(operator_user)


@pytest.fixture
def seen(probe, agent) -> Probe:
    """A probe that its host has run."""
    Location.objects.create(
        probe=probe,
        agent=agent,
        state="up",
        last_at=timezone.now(),
        last_duration_seconds=0.042,
        executed=3,
    )
    return probe


def rolled(probe: Probe, level: int, ago: float = 0, **counts: int) -> None:
    """Store one roll-up."""
    start = int(time.time() - ago) // STEPS[level] * STEPS[level]
    RollUp.objects.create(probe_id=probe.pk, agent_id="a", level=level, start=start, **counts)


def text_of(browser, path: str) -> str:
    """Return a page that must be there."""
    answer = browser.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


def test_empty_list_says_what_to_do(browser) -> None:
    assert "Nothing is probed yet" in text_of(browser, "/probes/")


def test_row_shows_state_latency_and_interval(browser, seen) -> None:
    text = text_of(browser, "/probes/")
    assert f'data-testid="probe-row-{seen.pk}"' in text
    assert "42 ms" in text
    assert "box: up" in text


def test_row_shows_shares_from_roll_ups(browser, seen) -> None:
    rolled(seen, HOUR, up=3, down=1, latency_sum_us=30_000)
    rolled(seen, DAY, up=99, down=1)
    rolled(seen, MINUTE, 60, up=1, latency_sum_us=10_000)
    rolled(seen, MINUTE, 120, up=1, latency_sum_us=12_000)
    text = text_of(browser, "/probes/")
    assert "75.00 %" in text
    assert "99.00 %" in text
    assert "<polyline" in text


def test_row_says_what_its_pool_does(browser, seen, agent) -> None:
    beat = Heartbeat(
        message_id="m",
        agent_id=agent.pk,
        thread_pool=ThreadPool(max_workers=4),
        probe_pool=ProbePool(waiting=(seen.pk,)),
    )
    hot.note_beat(speaker(agent), beat)
    assert f'data-testid="probe-run-state-{seen.pk}">waiting<' in text_of(browser, "/probes/")
    hot.clear()


@pytest.mark.parametrize(
    ("query", "is_shown"),
    [("?q=sit", True), ("?q=none", False), ("?kind=tcp", False), ("?state=up", False)],
)
def test_filters_combine_in_the_url(browser, probe, query, is_shown) -> None:
    text = text_of(browser, f"/probes/{query}")
    assert (f"probe-row-{probe.pk}" in text) is is_shown


def test_queries_of_the_list_do_not_grow_with_it(
    browser, new_probe, django_assert_max_num_queries
) -> None:
    for number in range(12):
        new_probe(name=f"p{number}")
    with django_assert_max_num_queries(24):
        browser.get("/probes/")


def test_probe_is_made_by_the_form(browser) -> None:
    answer = browser.post("/probes/new/?kind=http", FORM)
    assert answer.status_code == 302
    probe = Probe.objects.get()
    assert (probe.name, probe.interval) == ("shop", 30)
    assert probe.config == {
        "method": "POST",
        "headers": {"X-A": "1", "X-B": "two, three"},
        "expected_status": ["200", "404"],
        "warn_ms": 250.0,
        "json_path": "ok",
        "json_equals": True,
        "username": "me",
        "password": "hush",
    }


def test_form_and_settings_are_said_in_chinese(browser) -> None:
    browser.post("/probes/new/", FORM)
    headers = {"Accept-Language": "zh-hans"}
    form = browser.get("/probes/new/?kind=http", headers=headers).content.decode()
    assert all(
        words in form
        for words in ("检查状态码、响应体和证书", "慢速阈值（毫秒）", "2xx。", "URL，例如")
    )
    detail = browser.get(Probe.objects.get().get_absolute_url(), headers=headers).content.decode()
    assert "慢速阈值（毫秒）" in detail


def test_defaults_are_left_out_of_the_configuration(browser) -> None:
    plain = {name: value for name, value in FORM.items() if not name.startswith("config-")}
    kept = {name: FORM[name] for name in FORM if name.startswith("config-max")}
    extra = {
        "config-method": "GET",
        "config-ip_version": "any",
        "config-follow_redirects": "on",
        "config-verify_tls": "on",
        "config-expected_status": "200-299",
        "config-warn_ms": "0",
    }
    browser.post("/probes/new/", {**plain, **kept, **extra})
    assert Probe.objects.get().config == {}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"target": "nonsense"}, "URL"),
        ({"config-expected_status": "9999"}, "status codes"),
        ({"config-headers": "bad header: x"}, "is not a header name"),
        ({"interval": "0"}, "greater than or equal to 1"),
    ],
)
def test_wrong_field_is_named(browser, change, said) -> None:
    answer = browser.post("/probes/new/", {**FORM, **change})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Probe.objects.exists()


def test_edit_keeps_the_secret_and_never_shows_it(browser) -> None:
    browser.post("/probes/new/", FORM)
    probe = Probe.objects.get()
    assert "hush" not in text_of(browser, f"/probes/{probe.pk}/edit/")
    assert "hush" not in text_of(browser, f"/probes/{probe.pk}/")
    browser.post(f"/probes/{probe.pk}/edit/", {**FORM, "interval": 45, "config-password": ""})
    probe.refresh_from_db()
    assert (probe.interval, probe.config["password"]) == (45, "hush")


def test_test_now_asks_a_host_and_saves_nothing(browser, agent) -> None:
    text = browser.post("/probes/test/", {**FORM, "name": ""}).content.decode()
    asked = ProbeRunRequest.objects.get()
    assert f"/probes/tests/{asked.pk}/" in text
    assert not Probe.objects.exists()


def test_test_now_without_a_host_says_so(browser) -> None:
    text = browser.post("/probes/test/", FORM).content.decode()
    assert "No agent that could run it is online." in text


def test_test_now_names_what_is_wrong(browser, agent) -> None:
    text = browser.post("/probes/test/", {**FORM, "target": "x"}).content.decode()
    assert "test-refused" in text


def test_test_run_shows_its_phases_when_answered(browser, probe, agent) -> None:
    browser.post(f"/probes/{probe.pk}/run/")
    asked = ProbeRunRequest.objects.get()
    assert "test-waiting" in text_of(browser, f"/probes/tests/{asked.pk}/")
    said = {"outcome": "up", "duration_seconds": 0.05, "phases": {"dns": 0.01, "ttfb": 0.04}}
    ProbeRunRequest.objects.update(answered_at=timezone.now(), result=said)
    text = text_of(browser, f"/probes/tests/{asked.pk}/")
    assert "first byte 40 ms" in text


def test_test_run_that_nobody_answers_ends(browser, probe, agent) -> None:
    browser.post(f"/probes/{probe.pk}/run/")
    ProbeRunRequest.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    asked = ProbeRunRequest.objects.get()
    assert "test-expired" in text_of(browser, f"/probes/tests/{asked.pk}/")


def test_detail_shows_results_phases_and_percentiles(browser, seen, agent) -> None:
    seen.agents.set([agent])
    bring(
        agent,
        result(seen, phases={"dns": 0.002, "connect": 0.01}),
        result(seen, "down", error="connection <refused>", reason="refused", phase="connect"),
        result(seen, "missed", count=3, reason="overrun"),
    )
    text = text_of(browser, f"/probes/{seen.pk}/")
    assert "connection &lt;refused&gt;" in text
    assert '3 runs missed · <span title="overrun">the run before was not over</span>' in text
    assert "DNS 2.0 ms" in text
    assert "probe-failure" in text


@pytest.mark.parametrize("window", ["1h", "24h", "7d", "30d", "nonsense"])
def test_every_window_can_be_shown(browser, seen, window) -> None:
    rolled(seen, MINUTE, 300, up=2, latency_sum_us=50_000)
    rolled(seen, HOUR, 7200, up=2, latency_sum_us=50_000)
    text_of(browser, f"/probes/{seen.pk}/?window={window}")


@pytest.mark.parametrize(
    "details",
    [
        {"certificates": [{"host": "shop", "days_left": 3, "not_after": 1.9e9}]},
        {"certificates": [{"days_left": 3, "not_after": "never"}, 5, {"days_left": "x"}]},
    ],
)
def test_certificates_are_shown_whatever_the_host_says(browser, seen, details) -> None:
    Location.objects.update(last_details=details)
    assert "3 days left" in text_of(browser, f"/probes/{seen.pk}/")


def test_pause_and_resume(browser, probe) -> None:
    browser.post(f"/probes/{probe.pk}/pause/")
    probe.refresh_from_db()
    assert (probe.enabled, probe.state) == (False, "paused")
    browser.post(f"/probes/{probe.pk}/resume/")
    probe.refresh_from_db()
    assert probe.enabled


def test_delete_goes_back_to_the_list(browser, probe) -> None:
    answer = browser.post(f"/probes/{probe.pk}/delete/")
    assert answer.headers["Location"] == "/probes/"
    assert not Probe.objects.exists()


def test_incidents_are_listed(browser, probe) -> None:
    Incident.objects.create(
        tenant=probe.tenant, probe=probe, started_at=timezone.now(), error="refused"
    )
    assert "refused" in text_of(browser, "/probes/incidents/?open=1")
    Incident.objects.update(ended_at=timezone.now())
    assert "Nothing is down" in text_of(browser, "/probes/incidents/?open=1")


def test_incident_that_is_over_is_said_to_have_ended(browser, probe) -> None:
    now = timezone.now()
    Incident.objects.create(tenant=probe.tenant, probe=probe, started_at=now, ended_at=now)
    for path in ("/probes/incidents/", probe.get_absolute_url()):
        html = browser.get(path, headers={"Accept-Language": "zh-hans"}).content.decode()
        assert "已结束" in html
        assert "结束时间" not in html


def test_down_probe_needs_attention(browser, seen) -> None:
    Probe.objects.update(state="down", state_since=timezone.now())
    Location.objects.update(state="down", last_error="connection refused")
    text = text_of(browser, "/")
    assert "connection refused" in text
    assert "1 down" in text


def test_host_page_shows_its_pool_and_the_state_of_each_probe(browser, seen, agent) -> None:
    beat = Heartbeat(
        message_id="m",
        agent_id=agent.pk,
        thread_pool=ThreadPool(max_workers=2, active_threads=1, completed_tasks=7),
        probe_pool=ProbePool(probes=9, demand=3.2, running=(seen.pk,), dropped=4),
    )
    hot.note_beat(speaker(agent), beat)
    text = text_of(browser, f"/agents/{agent.pk}/")
    hot.clear()
    assert "exceeds the maximum of 2 threads" in text
    assert f'data-testid="agent-probe-{seen.pk}"' in text
    assert 'tone-running"><span>running' in text


@pytest.mark.parametrize("path", ["", "edit/"])
def test_stranger_finds_nothing(page_client, stranger, probe, path) -> None:
    assert page_client(stranger).get(f"/probes/{probe.pk}/{path}").status_code == 404


def test_viewer_sees_no_buttons_and_may_not_post(page_client, viewer_user, probe) -> None:
    client = page_client(viewer_user)
    assert "probe-pause" not in client.get(f"/probes/{probe.pk}/").content.decode()
    assert client.post(f"/probes/{probe.pk}/pause/").status_code == 403
    assert client.get("/probes/new/").status_code == 403


def test_search_finds_probes(browser, probe) -> None:
    assert probe.get_absolute_url() in text_of(browser, "/search/?q=site")
