"""Every call of the file system fails once, twice, or is the last one before a power cut.

Nothing that was committed is lost or doubled; what a failed fsync has dropped was never
called durable.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from agent_client.outbox.outbox import Bounds, Outbox
from agent_client.outbox.segment import Record
from tests.agent_client.outbox.faulty import FaultyFileSystem, PowerCut
from tests.faults import rows
from tests.faults.trials import IS_LONG, SEED, note_trials

BATCHES = 12
PER_BATCH = 5
SHORT_EVERY = 4
"""In the suite, one cut in so many is followed by a fault of the recovery, at one call."""
STARTS = 20
"""How often an agent tries to open its outbox; each failure is one of ours."""
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
        self.recoveries = 0
        self.second: tuple[int, BaseException] | None = None
        """At which call of a recovery, and how, the recovery meets a fault of its own."""
        self.outbox = self.opened()

    def opened(self) -> Outbox:
        return Outbox(self.files, summarise=count_lost, bounds=self.bounds, clock=lambda: 0.0)

    def reopen(self, *, is_cut: bool = True) -> None:
        """Start again after a crash; what was not acknowledged is forgotten."""
        self.pending = []
        if is_cut:
            self.files.cut_power()
        if self.second is not None:
            self.files.fail_after(*self.second)
            self.second = None
        self.recoveries += 1
        assert self.recoveries < STARTS, "an agent must come up unaided"
        try:
            self.outbox = self.opened()
            self.deliver_all()
        except OSError:
            self.reopen(is_cut=False)
        except PowerCut:
            self.reopen()

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

    def check(self) -> None:
        """Every committed record is delivered once, as itself or within a gap."""
        self.deliver_all()
        named = [name for payload in self.stored.values() for name in payload.split(b" ")]
        assert len(named) == len(set(named)), "doubled"
        assert self.committed <= set(named), "lost"

    def check_after_a_cut(self) -> None:
        """The same when the power goes at the very end: what was called durable was."""
        self.reopen()
        self.check()


def calls_of(max_bytes: int) -> int:
    world = World(0, max_bytes)
    before = world.files.calls
    world.run()
    made = world.files.calls - before
    world.check()
    return made


def calls_of_recovery(torn_bytes: int, max_bytes: int, cut_at: int) -> int:
    """Return how many calls the agent makes to come up after a cut at that call."""
    world = World(torn_bytes, max_bytes)
    world.files.fail_after(cut_at, PowerCut())
    try:
        for number in range(BATCHES):
            world.step(number)
    except PowerCut:
        world.files.cut_power()
        before = world.files.calls
        world.opened()
        return world.files.calls - before
    return 0


VARIANTS = [
    pytest.mark.parametrize("max_bytes", [100_000, 700], ids=["roomy", "dropping"]),
    pytest.mark.parametrize("torn_bytes", [0, 30], ids=["clean", "torn"]),
    pytest.mark.parametrize("fault", FAULTS),
    pytest.mark.row(rows.CALLS),
]


def in_all_variants(test: Callable[..., None]) -> Callable[..., None]:
    for mark in VARIANTS:
        test = mark(test)
    return test


@in_all_variants
def test_no_record_is_lost_or_doubled_when_any_one_call_fails(fault, torn_bytes, max_bytes):
    calls = calls_of(max_bytes)
    for number in range(1, calls + 1):
        world = World(torn_bytes, max_bytes)
        world.files.fail_after(number, FAULTS[fault]())
        world.run()
        world.check_after_a_cut()
    note_trials(calls)


@in_all_variants
def test_no_record_is_lost_when_the_recovery_meets_a_fault_too(fault, torn_bytes, max_bytes):
    """A power cut at any call, then a fault at any call of the start behind it."""
    chance = random.Random(f"{SEED} {fault} {torn_bytes} {max_bytes}")
    made = 0
    every = 1 if IS_LONG else SHORT_EVERY
    for cut_at in range(chance.randint(1, every), calls_of(max_bytes) + 1, every):
        numbers = range(1, calls_of_recovery(torn_bytes, max_bytes, cut_at) + 1)
        for number in numbers if IS_LONG else [chance.choice(numbers)]:
            world = World(torn_bytes, max_bytes)
            world.files.fail_after(cut_at, PowerCut())
            world.second = (number, FAULTS[fault]())
            world.run()
            world.check_after_a_cut()
            made += 1
    note_trials(made)
    assert made > 20


def test_scenario_drops_records_when_the_outbox_is_small():
    world = World(0, 700)
    world.run()
    world.deliver_all()
    assert world.outbox.dropped > 0
    assert any(b" " in payload for payload in world.stored.values())


def test_bytes_of_a_failed_fsync_can_be_read_and_are_gone_after_a_cut():
    """A test of the tool: later syncs that succeed must not bring them back."""
    files = FaultyFileSystem()
    descriptor = files.open("a")
    files.sync_directory()
    files.write(descriptor, b"xx")
    files.fail_after(1, FAULTS["EIO"]())
    with pytest.raises(OSError, match="input/output"):
        files.fsync(descriptor)
    files.write(descriptor, b"yy")
    files.fsync(descriptor)
    assert files.read("a") == b"xy"
    files.cut_power()
    assert files.read("a") == b"\0y"


def test_recovery_asks_for_names_and_contents_and_repairs():
    """A test of the scenario: what it fails must be all that a start can ask."""
    asked = set()
    for cut_at in range(1, calls_of(700) + 1):
        world = World(30, 700)
        world.files.fail_after(cut_at, PowerCut())
        try:
            for number in range(BATCHES):
                world.step(number)
        except PowerCut:
            world.files.cut_power()
            world.files.log.clear()
            world.opened()
            asked |= set(world.files.log)
    assert {"names", "read", "truncate", "unlink"} <= asked
