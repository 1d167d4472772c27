"""One more server process is refused where it could not work, with what to do."""

from __future__ import annotations

import socket

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from dialer_platform.launch import diagnosis

POSTGRES, REDIS = "postgres://127.0.0.1/dialer", "redis://127.0.0.1:6379/0"


@pytest.fixture
def shared(settings, monkeypatch):
    """Return the settings of an installation that has grown and is up to date."""
    settings.DATABASE_URL, settings.REDIS_URL = POSTGRES, REDIS
    monkeypatch.setattr(diagnosis, "missing_migrations", lambda: 0)
    return settings


@pytest.mark.parametrize(
    ("database", "redis", "named"),
    [
        ("", "", "set DATABASE_URL and REDIS_URL"),
        ("", REDIS, r"set DATABASE_URL\."),
        (POSTGRES, "", r"set REDIS_URL\."),
    ],
)
def test_what_is_not_shared_is_named(settings, database, redis, named):
    settings.DATABASE_URL, settings.REDIS_URL = database, redis
    with pytest.raises(CommandError, match=named):
        call_command("serve")


def test_tables_are_made_by_the_first_process(shared, monkeypatch):
    monkeypatch.setattr(diagnosis, "missing_migrations", lambda: 3)
    with pytest.raises(CommandError, match=r"lack 3 migrations\. Start `manage.py up` first"):
        call_command("serve")


def test_database_that_is_away_is_said_in_one_line(shared, monkeypatch):
    def refuse() -> int:
        raise OperationalError("connection refused")

    monkeypatch.setattr(diagnosis, "missing_migrations", refuse)
    with pytest.raises(CommandError, match="does not answer: connection refused"):
        call_command("serve")


def test_port_in_use_is_said(shared):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=rf"Port {port} on 127.0.0.1 is in use"):
            call_command("serve", port=port)
