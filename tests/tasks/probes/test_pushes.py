"""Targets that report themselves: by token, and by silence."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tasks.probes.models import Probe
from tasks.probes.series.models import ProbeResult
from tasks.probes.services import pushes, states


@pytest.fixture
def pushed(new_probe) -> Probe:
    """Return a probe that waits for reports every minute, half a minute of grace."""
    config = {"grace_seconds": 30}
    return new_probe(kind="push", target="backup", config=config, fail_threshold=1)


def send(token: str, query: str = "", method: str = "get") -> int:
    """Report and return the status."""
    return getattr(Client(), method)(f"/api/v1/push/{token}/{query}").status_code


def state_of(probe: Probe) -> str:
    """Return the state after the follower's pass."""
    states.follow()
    probe.refresh_from_db()
    return probe.state


@pytest.mark.parametrize("method", ["get", "post", "head"])
def test_report_makes_up(pushed, method):
    assert send(pushed.push_token, method=method) == 200
    assert state_of(pushed) == "up"


def test_report_says_what_is_wrong_and_how_long_it_took(pushed):
    send(pushed.push_token, "?status=down&msg=disk+full&ping=250")
    row = ProbeResult.objects.get()
    assert (row.error, row.duration_us, state_of(pushed)) == ("disk full", 250_000, "down")


def test_wrong_token_is_not_found_and_tells_nothing(pushed):
    assert send("dpp_wrong") == 404
    assert not ProbeResult.objects.exists()


def test_paused_probe_takes_no_report(pushed):
    Probe.objects.update(enabled=False)
    assert send(pushed.push_token) == 404


def test_more_than_one_report_a_second_counts_once(pushed):
    assert [send(pushed.push_token) for _ in range(3)] == [200] * 3
    assert ProbeResult.objects.count() == 1


@pytest.mark.parametrize("query", ["?ping=nan", "?ping=x", "?ping=-5", "?ping=1e400", "?msg=%00"])
def test_nonsense_in_a_report_does_no_harm(pushed, query):
    assert send(pushed.push_token, query) == 200
    assert ProbeResult.objects.get().duration_us == 0


def test_silence_is_the_alarm_once_per_interval(pushed):
    send(pushed.push_token)
    assert pushes.judge_silence() == 0
    Probe.objects.update(pushed_at=timezone.now() - timedelta(seconds=91))
    assert [pushes.judge_silence() for _ in range(2)] == [1, 0]
    assert state_of(pushed) == "down"
    Probe.objects.update(silence_judged_at=timezone.now() - timedelta(seconds=61))
    assert pushes.judge_silence() == 1


def test_target_that_never_reported_is_silent_from_its_making(pushed):
    assert pushes.judge_silence() == 0
    Probe.objects.update(state_since=timezone.now() - timedelta(seconds=91))
    assert pushes.judge_silence() == 1


def test_push_probe_is_no_work_for_agents(pushed, agent, operator_user, api_client):
    assert not Probe.objects.for_agents().exists()
    url = f"/api/v1/probes/{pushed.pk}/"
    client = api_client(operator_user)
    assert client.post(f"{url}run/", {}, format="json").json()["code"] == "not_runnable"
    token = client.post(f"{url}push_token/", {}, format="json").json()["push_token"]
    assert (send(pushed.push_token), send(token)) == (404, 200)


def test_only_a_push_probe_has_a_token(new_probe, operator_user, api_client):
    url = f"/api/v1/probes/{new_probe().pk}/push_token/"
    answer = api_client(operator_user).post(url, {}, format="json")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_push")


def test_token_is_shown_when_made_and_never_again(api_client, operator_user):
    client = api_client(operator_user)
    fields = {"name": "n", "kind": "push", "target": "backup", "interval": 60}
    made = client.post("/api/v1/probes/", fields, format="json").json()
    assert made["push_token"].startswith("dpp_")
    assert "dpp_" not in str(client.get(f"/api/v1/probes/{made['id']}/").json())
