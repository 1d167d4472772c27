"""The disk of the server fills up, turns read-only, or loses its power; its agents go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import outages, rows
from tests.faults.disks import SERVERS_SIZE_MB, Disk, own_disk, put_prepared
from tests.faults.lab import Lab, repeat, running_lab
from tests.faults.trials import planned

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("faults of the server's disk")]

INODES = 2_000
WIDE_EACH = 16
"""Logs of 2 MB for every one of them would fill the disk by themselves."""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with own_disk(tmp_path, "data", size_mb=SERVERS_SIZE_MB, inodes=INODES) as found:
        yield found


@pytest.fixture
def lab(tmp_path: Path, disk: Disk) -> Iterator[Lab]:
    with running_lab(tmp_path, wide_each=WIDE_EACH, prepare=put_prepared) as found:
        yield found


@pytest.mark.row(rows.POWER)
def test_servers_disk_loses_power(lab: Lab, disk: Disk) -> None:
    count = planned(short=1, long=50)
    assert repeat(lab, count, lambda: outages.server_without_power(lab, disk)) == []


@pytest.mark.row(rows.DISKS)
@pytest.mark.parametrize(
    "fault", [outages.fill, outages.use_all_inodes, outages.server_with_a_broken_disk]
)
def test_servers_disk_takes_nothing(
    lab: Lab, disk: Disk, fault: Callable[[Lab, Disk], None]
) -> None:
    assert repeat(lab, planned(short=1, long=12), lambda: fault(lab, disk)) == []
