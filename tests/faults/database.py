"""Reads an installation's database behind the server's back."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg

from tests.e2e.stack import Stack


def rows(stack: Stack, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement, from SQLite or the PostgreSQL of DATABASE_URL."""
    url = stack.environment.get("DATABASE_URL", "")
    if url:
        with psycopg.connect(url) as connection:
            return connection.execute(statement).fetchall()
    path = stack.data / "database" / "dialer.sqlite3"
    with sqlite3.connect(path) as database:
        return database.execute(statement).fetchall()
