"""`manage.py serve` where it cannot work: one sentence that says what is missing."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dialer_platform.launch import options
from tests.e2e.stack import free_port
from tests.rules.source_tree import ROOT
from tests.services import fresh_database

NOWHERE = "postgres://postgres@127.0.0.1:1/none"
REDIS = "redis://127.0.0.1:1/0"
UNREACHABLE = {"DATABASE_URL": NOWHERE, "REDIS_URL": REDIS}


def serve(data: Path, *arguments: str, **environment: str) -> str:
    """Return what a refused start says."""
    ours = ("DIALER_", "DATABASE_URL", "REDIS_URL")
    done = subprocess.run(
        [sys.executable, "manage.py", "serve", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(ours)}
        | {"DIALER_DATA_DIR": str(data), "DIALER_PORT": str(free_port())}
        | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode in {1, 2}, done.stdout + done.stderr
    return done.stderr


def sentence(said: str) -> str:
    """Return the one line that a command said."""
    (line,) = said.splitlines()
    return line


def test_sqlite_is_refused(tmp_path):
    assert "set DATABASE_URL" in sentence(serve(tmp_path, REDIS_URL=REDIS))


def test_missing_redis_is_refused(tmp_path):
    assert "set REDIS_URL" in sentence(serve(tmp_path, DATABASE_URL=NOWHERE))


def test_taken_port_is_refused(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = sentence(serve(tmp_path, "--port", port, **UNREACHABLE))
    assert f"Port {port} on 127.0.0.1 is in use by another program" in said


def test_public_address_is_held_to_the_rules_of_the_setting(tmp_path):
    said = serve(tmp_path, "--host", "0.0.0.0", **UNREACHABLE)
    assert "would listen for other machines without TLS" in said


def test_port_that_is_no_number_is_refused(tmp_path):
    assert "argument --port" in serve(tmp_path, "--port", "x")


@pytest.mark.postgres
def test_database_without_tables_is_refused(tmp_path):
    with fresh_database() as url:
        said = sentence(serve(tmp_path, DATABASE_URL=url, REDIS_URL=REDIS))
    assert "migrations missing: start `manage.py up` first" in said


def test_database_that_does_not_answer_is_named(tmp_path):
    last = serve(tmp_path, **UNREACHABLE).splitlines()[-1]
    assert last.startswith("CommandError: The database does not answer: ")
    assert last.endswith("mend DATABASE_URL.")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"DIALER_PORT": "8000"}),
        (["--port", "8001"], {"DIALER_PORT": "8001"}),
        (["--host=::1", "-v", "2"], {"DIALER_PORT": "8000", "DIALER_HOST": "::1"}),
    ],
)
def test_options_become_settings_and_absent_ones_leave_them(arguments, expected):
    environ = {"DIALER_PORT": "8000"}
    options.take_address(arguments, environ)
    assert environ == expected
