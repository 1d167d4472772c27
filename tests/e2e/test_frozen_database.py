"""A PostgreSQL that accepts and never answers: readiness is told in time, and comes back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
import requests

from dialer_platform.console.health import ANSWER_SECONDS
from tests.e2e.stack import Stack, running_stack, wait_for
from tests.faults.services import OwnPostgres, own_services

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.xdist_group("faults of services")]

CROWD = 40
BUSY_SECONDS = 10.0
"""What a busy machine may add."""


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[tuple[Stack, OwnPostgres]]:
    """A server on a database of the test's own."""
    with own_services() as (postgres, other):
        environment = {"DATABASE_URL": postgres.url, "REDIS_URL": other.url}
        with running_stack(tmp_path, **environment) as stack:
            yield stack, postgres


def asked(stack: Stack) -> requests.Response:
    """Ask whether the server is ready, as a stranger does."""
    return requests.get(f"{stack.url}/readyz", timeout=ANSWER_SECONDS + BUSY_SECONDS)


def threads_of(stack: Stack) -> int:
    """Return how many threads the server has now."""
    assert stack.server is not None
    return psutil.Process(stack.server.pid).num_threads()


def is_told(stack: Stack) -> bool:
    """Return whether the server has noticed; what it last heard is believed for a second."""
    return asked(stack).status_code == 503


def test_frozen_database_is_named_in_time_and_one_thread_waits_for_it(frozen):
    stack, postgres = frozen
    with postgres.frozen():
        began = time.monotonic()
        wait_for(lambda: is_told(stack), seconds=BUSY_SECONDS)
        before = threads_of(stack)
        with ThreadPoolExecutor(CROWD) as crowd:
            answers = list(crowd.map(lambda _: asked(stack), range(CROWD)))
        assert time.monotonic() - began < ANSWER_SECONDS + 2 * BUSY_SECONDS
        wait_for(lambda: threads_of(stack) <= before + 2)
    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["checks"]["database"] for answer in answers} == {"no answer"}
    wait_for(lambda: asked(stack).status_code == 200, seconds=60)
