"""The power goes while results of dial tests are written: none that was recorded is lost (R7).

The outbox is the agent's own, on a real ext4; the process that writes says what it was told
is durable.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.e2e.stack import wait_for
from tests.faults import rows
from tests.faults.disks import Disk, own_disk
from tests.faults.outages import cut_power
from tests.faults.outbox_writer import number_of, open_outbox
from tests.faults.trials import chance, note_trials, planned

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.row(rows.POWER),
    pytest.mark.xdist_group("faults of the agent's disk"),
]

LONGEST_SECONDS = 0.5
LATER = 1_000_000
"""Numbers of results never recur, whoever wrote them."""


@dataclass
class Server:
    """What a server would have: each sequence once."""

    committed: set[int] = field(default_factory=set)
    stored: dict[int, int] = field(default_factory=dict)

    def take(self, sequence: int, number: int) -> None:
        """Store one delivery; a repeated one must be the same."""
        assert self.stored.setdefault(sequence, number) == number

    def hear(self, line: str) -> None:
        """Take in what the writer said; its last line may be torn."""
        kind, *words = line.split()
        if kind == "C":
            self.committed.update(map(int, words))
        elif kind == "D" and len(words) == 2:
            self.take(int(words[0]), int(words[1]))


def test_what_was_recorded_is_delivered_once_after_a_power_cut(tmp_path: Path) -> None:
    moments, server = chance(), Server()
    with own_disk(tmp_path, "outbox", size_mb=32) as disk:
        for number in range(planned(short=6, long=120)):
            cut_while_writing(disk, server, moments, first=number * LATER)
            deliver(disk, server)
            assert server.committed <= set(server.stored.values()), "recorded and lost"
            assert len(set(server.stored.values())) == len(server.stored), "doubled"
            note_trials(1)


def cut_while_writing(disk: Disk, server: Server, moments: random.Random, *, first: int) -> None:
    """Let the writer work for a moment, then cut the power and mount the disk again."""
    words = (str(disk.path / "box"), str(first), str(moments.randrange(10**6)))
    command = [sys.executable, "-m", "tests.faults.outbox_writer", *words]
    output = disk.path.with_name("said")
    with output.open("wb") as stream:
        writer = subprocess.Popen(command, stdout=stream)
    wait_for(lambda: output.read_text().count("C ") > 1 or writer.poll() is not None)
    time.sleep(moments.uniform(0, LONGEST_SECONDS))
    assert writer.poll() is None
    cut_power(disk, psutil.Process(writer.pid))
    writer.kill()
    writer.wait()
    disk.unmount()
    disk.mount()
    for line in output.read_text().splitlines():
        server.hear(line)


def deliver(disk: Disk, server: Server) -> None:
    """Open the outbox as the next start does, and deliver all that is in it."""
    outbox = open_outbox(disk.path / "box")
    while batch := outbox.peek(100):
        for record in batch.records:
            server.take(record.sequence, number_of(record.payload))
        outbox.acknowledge(batch)
    outbox.close()
