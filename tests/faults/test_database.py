"""PostgreSQL, Redis, server and housekeeping are killed and started again, connections cut.

The server does the periodic work too; whoever holds the lease at the moment is killed in
turn, and the other takes over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.kills import kill_server
from tests.faults.lab import Lab, repeat, running_lab
from tests.faults.services import OwnPostgres, OwnRedis, own_services
from tests.faults.trials import trials

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of services")]

ROW = "kill -9 of server, housekeeping, PostgreSQL, Redis; connections cut"


def faults_of(lab: Lab, postgres: OwnPostgres, other: OwnRedis) -> dict[str, Callable[[], None]]:
    """Return what may happen to an installation on PostgreSQL and Redis."""

    def restart(service: OwnPostgres | OwnRedis) -> None:
        service.kill()
        lab.pause(1)
        service.start()

    return {
        "postgres": lambda: restart(postgres),
        "redis": lambda: restart(other),
        "connections": postgres.cut_connections,
        "server": lambda: kill_server(lab),
        "housekeeping": lambda: kill_housekeeping(lab),
    }


def kill_housekeeping(lab: Lab) -> None:
    """Kill the periodic work that is a process of its own, and start it again."""
    lab.stack.kill_housekeeping()
    lab.stack.start_housekeeping()


def test_services_die_and_come_back(tmp_path: Path) -> None:
    count = trials(ROW, short=5, long=200)
    with own_services() as (postgres, other):
        environment = {"DATABASE_URL": postgres.url, "REDIS_URL": other.url}
        with running_lab(tmp_path, **environment) as lab:
            lab.stack.start_housekeeping()
            faults = list(faults_of(lab, postgres, other).values())
            turns = iter(range(count))
            assert repeat(lab, count, lambda: faults[next(turns) % len(faults)]()) == []
