"""The disk of an agent fills up, turns read-only, or loses its power."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.stack import wait_for
from tests.faults import outages, rows
from tests.faults.disks import Disk, own_disk
from tests.faults.lab import Lab, repeat, running_lab
from tests.faults.outages import HOST, starts_hindered
from tests.faults.trials import planned

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of the agent's disk")]

ENOUGH_RUNNING = 4
INODES = 2_000
ENDED_SECONDS = 180
"""Within how long what runs has ended, also on a machine that is crowded."""
Fault = Callable[[Lab, Disk], None]


@contextmanager
def lab_on_disk(path: Path, *, inodes: int | None = None) -> Iterator[tuple[Lab, Disk]]:
    """Yield a lab whose one host lives on a small disk."""
    with (
        own_disk(path, f"agent-{HOST}", inodes=inodes) as disk,
        running_lab(path, agents=(HOST,)) as lab,
    ):
        yield lab, disk


def stay_full(lab: Lab, disk: Disk) -> None:
    """No space until all that runs has ended: its exit codes do not wait for space."""
    lab.wait_running(ENOUGH_RUNNING)
    refusals = []

    def all_ended() -> bool:
        # Whatever a task that has ended gives back is taken at once.
        disk.fill()
        refusals.append(disk.refusal())
        return not lab.running()

    wait_for(all_ended, seconds=ENDED_SECONDS)
    assert "ENOSPC" in refusals
    disk.free()


def hindering(fault: Fault) -> Fault:
    """Return a fault that may also hinder starts, and cut output."""

    def hindered(lab: Lab, disk: Disk) -> None:
        lab.excuses.cuts_allowed = True
        with starts_hindered(lab):
            fault(lab, disk)

    return hindered


@pytest.mark.row(rows.POWER)
def test_agents_disk_loses_power(tmp_path: Path) -> None:
    with lab_on_disk(tmp_path) as (lab, disk):
        count = planned(short=2, long=50)
        assert repeat(lab, count, lambda: outages.agent_without_power(lab, disk)) == []


@pytest.mark.row(rows.DISKS)
@pytest.mark.parametrize("fault", [outages.fill, stay_full, outages.use_all_inodes])
def test_agents_disk_is_full(tmp_path: Path, fault: Fault) -> None:
    with lab_on_disk(tmp_path, inodes=INODES) as (lab, disk):
        count = planned(short=1, long=15)
        assert repeat(lab, count, lambda: hindering(fault)(lab, disk)) == []


@pytest.mark.row(rows.DISKS)
@pytest.mark.parametrize(
    "fault", [outages.agent_started_read_only, outages.agent_with_a_broken_disk]
)
def test_agents_disk_is_read_only(tmp_path: Path, fault: Fault) -> None:
    with lab_on_disk(tmp_path) as (lab, disk):
        lab.excuses.cuts_allowed = True
        assert repeat(lab, planned(short=1, long=15), lambda: fault(lab, disk)) == []
