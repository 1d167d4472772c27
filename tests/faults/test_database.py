"""PostgreSQL, Redis, server and housekeeping are killed or frozen, connections cut.

The server does the periodic work too; whoever holds the lease is killed, and the other
takes over when it has aged.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults import rows
from tests.faults.kills import kill_housekeeping, kill_server, wait_lease
from tests.faults.lab import Lab, repeat, running_lab
from tests.faults.services import OwnPostgres, OwnRedis, own_services
from tests.faults.trials import planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.SERVICES),
    pytest.mark.xdist_group("faults of services"),
]

FROZEN_SECONDS = 3.0


def faults_of(lab: Lab, postgres: OwnPostgres, other: OwnRedis) -> list[Callable[[], None]]:
    """Return what may happen to an installation on PostgreSQL and Redis."""

    def restart(service: OwnPostgres | OwnRedis) -> None:
        service.kill()
        lab.pause(1)
        service.start()

    def freeze() -> None:
        with postgres.frozen():
            lab.pause(FROZEN_SECONDS)

    return [
        lambda: restart(postgres),
        lambda: restart(other),
        postgres.cut_connections,
        freeze,
        lambda: kill_server(lab),
    ]


def test_services_die_and_come_back(tmp_path: Path) -> None:
    with own_services() as (postgres, other):
        environment = {"DATABASE_URL": postgres.url, "REDIS_URL": other.url}
        with running_lab(tmp_path, **environment) as lab:
            faults = faults_of(lab, postgres, other)
            turns = iter(range(10**6))
            count = planned(short=5, long=120)
            assert repeat(lab, count, lambda: faults[next(turns) % len(faults)]()) == []


@pytest.mark.xdist_group("faults of the lease")
def test_periodic_work_is_taken_over(tmp_path: Path) -> None:
    """Whoever does it is killed under load: the server, then the process beside it.

    Each comes back only when the other has taken over: both would be equally early.
    """
    with running_lab(tmp_path, wide_each=0) as lab:
        lab.stack.start_housekeeping()
        for _ in range(planned(short=1, long=20)):
            lab.keep_busy()
            kill_server(lab, until=lambda: wait_lease(lab, of_server=False))
            lab.keep_busy()
            kill_housekeeping(lab, until=lambda: wait_lease(lab, of_server=True))
            lab.made(2)
        assert lab.verdict() == []
