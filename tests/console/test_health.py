"""Liveness, readiness and metrics, as monitoring sees them."""

from __future__ import annotations

import pytest

from dialer_platform import readiness
from dialer_platform.accounts.services.tokens import create_token
from dialer_platform.console import figures, health


class Answer:
    """Asks the database in the test's own thread, whose transaction no other one sees."""

    def get(self) -> dict[str, bool] | None:
        """Return what the database says now."""
        return health.database_checks()


class NoAnswer:
    """The database hangs."""

    def get(self) -> dict[str, bool] | None:
        """Return what is known then."""
        return None


@pytest.fixture(autouse=True)
def _asks_now(monkeypatch):
    """Believe no earlier answer of the database."""
    monkeypatch.setattr(health, "database_answer", Answer())


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


def test_not_ready_names_the_database_while_it_hangs(client, db, monkeypatch):
    monkeypatch.setattr(health, "database_answer", NoAnswer())
    response = client.get("/readyz")
    checks = response.json()["checks"]
    assert (response.status_code, checks["database"]) == (503, "no answer")
    assert (checks["housekeeping"], checks["messages"]) == ("unknown", "ok")


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
