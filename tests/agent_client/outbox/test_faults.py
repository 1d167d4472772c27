"""Every call of the file system fails once: nothing acknowledged is lost or doubled."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence

import pytest

from agent_client.outbox.outbox import Bounds, Outbox
from agent_client.outbox.segment import Record
from tests.agent_client.outbox.faulty import FaultyFileSystem, PowerCut

BATCHES = 12
PER_BATCH = 5
FAULTS = {
    "EIO": lambda: OSError(errno.EIO, "input/output error"),
    "ENOSPC": lambda: OSError(errno.ENOSPC, "no space"),
    "EINTR": lambda: InterruptedError(errno.EINTR, "interrupted"),
    "kill": PowerCut,
}


def count_lost(
    payloads: Sequence[bytes], take: Callable[[], int]
) -> Iterator[tuple[int, bytes]] | list[tuple[int, bytes]]:
    names = [name for payload in payloads for name in payload.split(b" ")]
    return [(take(), b" ".join(names))] if names else []


class World:
    """An agent with an outbox, and the server it delivers to."""

    def __init__(self, torn_bytes: int, max_bytes: int) -> None:
        self.files = FaultyFileSystem(torn_bytes)
        self.bounds = Bounds(max_bytes=max_bytes, segment_bytes=300)
        self.committed: set[bytes] = set()
        self.stored: dict[int, bytes] = {}
        self.pending: list[Record] = []
        self.made = 0
        self.outbox = self.opened()

    def opened(self) -> Outbox:
        return Outbox(self.files, summarise=count_lost, bounds=self.bounds, clock=lambda: 0.0)

    def reopen(self) -> None:
        """Start again after a crash; what was not acknowledged is forgotten."""
        self.files.cut_power()
        self.pending = []
        self.outbox = self.opened()
        self.deliver_all()

    def step(self, number: int) -> None:
        """Commit one batch, and now and then deliver one."""
        for _ in range(PER_BATCH):
            self.made += 1
            self.pending.append(Record(self.outbox.take_sequence(), b"r%d" % self.made))
        self.outbox.commit(self.pending)
        self.committed.update(record.payload for record in self.pending)
        self.pending = []
        if number % 3 == 2:
            self.deliver()

    def deliver(self) -> bool:
        batch = self.outbox.peek(4)
        if batch is None:
            return False
        for record in batch.records:
            assert self.stored.setdefault(record.sequence, record.payload) == record.payload
        self.outbox.acknowledge(batch)
        return True

    def deliver_all(self) -> None:
        while self.deliver():
            pass

    def run(self) -> None:
        """Live through the scenario, restarting where the machine dies."""
        for number in range(BATCHES):
            try:
                self.step(number)
            except OSError:
                continue  # the next step commits the same records again
            except PowerCut:
                self.reopen()
        self.files.fail_at = 0
        if self.pending:
            self.step(0)
        self.deliver_all()

    def check(self) -> None:
        """Every committed record is delivered once, as itself or within a gap."""
        named = [name for payload in self.stored.values() for name in payload.split(b" ")]
        assert len(named) == len(set(named)), "doubled"
        assert self.committed <= set(named), "lost"


def calls_of(max_bytes: int) -> int:
    world = World(0, max_bytes)
    world.run()
    world.check()
    return world.files.calls


@pytest.mark.parametrize("max_bytes", [100_000, 700], ids=["roomy", "dropping"])
@pytest.mark.parametrize("torn_bytes", [0, 30], ids=["clean", "torn"])
@pytest.mark.parametrize("fault", FAULTS)
def test_no_record_is_lost_or_doubled_when_any_one_call_fails(fault, torn_bytes, max_bytes):
    for number in range(1, calls_of(max_bytes) + 1):
        world = World(torn_bytes, max_bytes)
        world.files.fail_at, world.files.error = number + world.files.calls, FAULTS[fault]()
        world.run()
        world.check()


def test_scenario_drops_records_when_the_outbox_is_small():
    world = World(0, 700)
    world.run()
    assert world.outbox.dropped > 0
    assert any(b" " in payload for payload in world.stored.values())
