"""Liveness, readiness and metrics, as monitoring sees them."""

from __future__ import annotations

import threading

import pytest
from django.core.cache import cache

from dialer_platform import readiness
from dialer_platform.accounts.services.tokens import create_token
from dialer_platform.console import figures, health
from dialer_platform.console.overdue import SharedQuestion


@pytest.fixture(autouse=True)
def _forget(monkeypatch):
    """Forget the last answer about readiness; ask in this thread, which sees the test's rows."""
    cache.delete("console.readyz")
    monkeypatch.setattr(health.database_checks, "answer", lambda seconds: health.ask_database())


def test_liveness_needs_no_database(client):
    assert client.get("/healthz").json() == {"status": "ok"}


def test_ready_when_everything_works(client, db, monkeypatch):
    monkeypatch.setattr(health.lease, "is_fresh", lambda: True)
    response = client.get("/readyz")
    assert response.status_code == 200
    checks = response.json()["checks"]
    assert {"database", "housekeeping", "messages"} <= checks.keys()
    assert set(checks.values()) == {"ok"}


def test_not_ready_says_which_part_when_housekeeping_is_stale(client, db):
    response = client.get("/readyz")
    assert response.status_code == 503
    failed = [name for name, word in response.json()["checks"].items() if word != "ok"]
    assert failed == ["housekeeping"]


def test_not_ready_when_the_database_refuses_to_write(client, db, monkeypatch):
    from django.db import OperationalError

    def refuse(**options):
        raise OperationalError("readonly database")

    monkeypatch.setattr(health, "write_transaction", refuse)
    assert client.get("/readyz").json()["checks"]["database"] == "failed"


def test_not_ready_while_a_part_of_the_process_stands_still(client, db, monkeypatch):
    monkeypatch.setattr(health.lease, "is_fresh", lambda: True)
    monkeypatch.setitem(readiness._checks, "messages", lambda: False)
    response = client.get("/readyz")
    assert (response.status_code, response.json()["checks"]["messages"]) == (503, "failed")


def test_not_ready_when_the_database_does_not_answer(client, monkeypatch):
    go_on = threading.Event()
    frozen = SharedQuestion(lambda: go_on.wait(30), name="frozen database")
    monkeypatch.setattr(health, "database_checks", frozen)
    monkeypatch.setattr(health, "ANSWER_SECONDS", 0.05)
    response = client.get("/readyz")
    go_on.set()
    checks = response.json()["checks"]
    assert response.status_code == 503
    assert (checks["database"], checks["housekeeping"]) == ("failed", "failed")


def test_metrics_are_open_on_loopback(client, db):
    response = client.get("/metrics")
    assert response.status_code == 200
    assert b"dialer_tasks" in response.content
    assert b"dialer_live_subscriptions" in response.content


def test_metrics_want_a_token_from_elsewhere(client, db):
    response = client.get("/metrics", REMOTE_ADDR="192.0.2.7")
    assert response.status_code == 401
    assert response.json()["code"] == "unauthenticated"


@pytest.mark.parametrize("address", ["", "not an address", "192.0.2.7", "127.0.0.1.evil"])
def test_strange_address_is_not_this_machine(address):
    assert not health.is_loopback(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_this_machine(address):
    assert health.is_loopback(address)


def test_broken_figure_costs_only_itself(caplog):
    def fail() -> float:
        raise OSError("gone")

    figures.add(figures.Figure("broken", "Fails.", fail))
    try:
        names = {metric.name for metric in figures.FiguresCollector().collect() if metric}
    finally:
        del figures._figures["broken"]
    assert "dialer_broken" not in names
    assert "dialer_live_subscriptions" in names


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "X-Real-IP"])
def test_metrics_are_closed_behind_a_proxy_nobody_named(client, db, name):
    assert client.get("/metrics", headers={name: "127.0.0.1"}).status_code == 401


def test_metrics_open_with_a_user_token(client, viewer_user, tenant):
    _, text = create_token(user=viewer_user, tenant=tenant, by="test")
    headers = {"Authorization": f"Bearer {text}"}
    assert client.get("/metrics", REMOTE_ADDR="192.0.2.7", headers=headers).status_code == 200
