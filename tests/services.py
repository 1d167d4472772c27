"""PostgreSQL and Redis for the tests that need them: there, or said to be missing.

With CI=true a missing service is a failure, so that no gap hides behind a skip.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
import redis

POSTGRES_URL = os.environ.get("TEST_POSTGRES_URL", "postgres://postgres@127.0.0.1:5432")
REDIS_URL = os.environ.get("TEST_REDIS_URL", "redis://127.0.0.1:6379/9")
CONNECT_SECONDS = 3


def missing(what: str, error: Exception) -> None:
    """Fail in continuous integration, skip elsewhere; says which variable names the service."""
    reason = f"{what} is missing: {error}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def fresh_database() -> Iterator[str]:
    """Yield the URL of a new empty PostgreSQL database and drop it afterwards."""
    name = f"dialer_test_{uuid.uuid4().hex[:12]}"
    try:
        admin = psycopg.connect(
            f"{POSTGRES_URL}/postgres", autocommit=True, connect_timeout=CONNECT_SECONDS
        )
    except psycopg.OperationalError as error:
        missing("PostgreSQL (TEST_POSTGRES_URL)", error)
    with admin:
        admin.execute(f'CREATE DATABASE "{name}"')
    try:
        yield f"{POSTGRES_URL}/{name}"
    finally:
        with psycopg.connect(f"{POSTGRES_URL}/postgres", autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def redis_url() -> str:
    """Return the address of a Redis that answers."""
    try:
        redis.Redis.from_url(REDIS_URL, socket_connect_timeout=CONNECT_SECONDS).ping()
    except redis.RedisError as error:
        missing("Redis (TEST_REDIS_URL)", error)
    return REDIS_URL
