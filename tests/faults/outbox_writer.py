"""A process that keeps results in the agent's outbox, on a disk whose power may go.

`python -m tests.faults.outbox_writer DIRECTORY FIRST SEED`. Says on its output what the
outbox has called durable (`C NUMBER …`) and what it has let go as delivered (`D SEQUENCE
NUMBER …`), each before anything else happens. Results are numbers, from FIRST on.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path

from agent_client.outbox.filesystem import LocalFileSystem
from agent_client.outbox.outbox import Bounds, Outbox
from agent_client.outbox.segment import Record

LARGEST_BATCH = 20
FILLER = b"." * 300
"""As long as the result of a dial test."""


def open_outbox(directory: Path) -> Outbox:
    """Open the outbox as an agent does; small segments, so that many begin and end."""
    bounds = Bounds(segment_bytes=16_000)
    return Outbox(LocalFileSystem(directory), summarise=lambda payloads, take: [], bounds=bounds)


def number_of(payload: bytes) -> int:
    """Return which result a payload is."""
    return int(payload.split(b" ")[0])


def write_for_ever(outbox: Outbox, first: int, chance: random.Random) -> None:
    """Commit batches and deliver some until the process dies."""
    number = first
    while True:
        count = chance.randint(1, LARGEST_BATCH)
        records = [
            Record(outbox.take_sequence(), b"%d %s" % (one, FILLER))
            for one in range(number, number + count)
        ]
        number += count
        outbox.commit(records)
        say("C", *(number_of(record.payload) for record in records))
        batch = outbox.peek(LARGEST_BATCH) if chance.random() < 0.7 else None
        if batch is not None:
            # Said before it is let go, as a server has it before it confirms.
            for record in batch.records:
                say("D", record.sequence, number_of(record.payload))
            outbox.acknowledge(batch)


def say(*words: object) -> None:
    """Print one line at once."""
    print(*words, flush=True)


if __name__ == "__main__":
    path, first, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    write_for_ever(open_outbox(path), first, random.Random(seed))
