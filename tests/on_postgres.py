"""Run the suites that touch storage a second time, on PostgreSQL: `python -m tests.on_postgres`.

Makes a database of its own and removes it with everything the test runner made beside it.
Without PostgreSQL it says so and ends well, but fails when CI=true.
"""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest

from tests.services import POSTGRES_URL, fresh_database

PLUGIN = "tests.storage_only"
SUITES = (
    "tests/accounts",
    "tests/agents",
    "tests/platform/test_housekeeping.py",
    "tests/tasks",
    "tests/templates_app",
)


def drop_leftovers(name: str) -> None:
    """Drop the databases that the workers made beside the one named."""
    with psycopg.connect(f"{POSTGRES_URL}/postgres", autocommit=True) as admin:
        rows = admin.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE %s", [f"test_{name}%"]
        ).fetchall()
        for (leftover,) in rows:
            admin.execute(f'DROP DATABASE "{leftover}" WITH (FORCE)')


def main(arguments: list[str]) -> int:
    """Run pytest on PostgreSQL and return its exit code."""
    try:
        with fresh_database() as url:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-q", "-p", PLUGIN, *SUITES, *arguments],
                env={**os.environ, "DATABASE_URL": url},
            )
            drop_leftovers(url.rpartition("/")[2])
            return done.returncode
    except pytest.skip.Exception as reason:
        print(f"not run: {reason}")
        return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
