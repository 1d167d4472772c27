"""The outbox: a record that `commit` returned for is delivered, or counted as dropped.

Append-only segments in one directory, one fsync per batch. A segment whose write or fsync
failed is never written again: what the kernel has dropped, a second fsync would call
durable. The batch goes to a new segment under the same sequences, so that a reader knows
a record it meets twice. Bounded by bytes and age: the oldest segment is dropped and
replaced by records that say how much is missing. The cursor is synced before a segment is
removed. Safe for several threads; calls wait for the disk.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from agent_client.catalogue import announce
from agent_client.outbox.filesystem import FileSystem, replace_file, write_whole
from agent_client.outbox.recovery import CURSOR_NAME, Cursor, Opening, Segment, recover
from agent_client.outbox.segment import Kind, Record, encode, segment_name, sendable

logger = logging.getLogger(__name__)

MAX_DAMAGED_FILES = 4
Summarise = Callable[[Sequence[bytes], Callable[[], int]], Sequence[tuple[int, bytes]]]
"""Turns payloads that are dropped into fewer ones; gets the source of their sequences."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the outbox may keep."""

    max_bytes: int = 64 * 1024 * 1024
    max_age_seconds: float = 24 * 3600.0
    max_records: int | None = None
    """Records that may wait; None leaves it to the bytes."""
    segment_bytes: int = 1024 * 1024
    segment_seconds: float = 3600.0
    """A segment is closed at this age, so that age can be judged by whole segments."""

    @property
    def segment_records(self) -> float:
        """Return at how many records a segment is closed: an eighth, to drop no more at once."""
        return float("inf") if self.max_records is None else max(1, self.max_records // 8)


class Batch(NamedTuple):
    """Records to deliver, and the position behind them; give it back to `acknowledge`."""

    records: tuple[Record, ...]
    segment: int
    end: int


class Outbox:
    """Records on their way to the server."""

    def __init__(
        self,
        files: FileSystem,
        *,
        summarise: Summarise,
        snapshot: Callable[[], bytes] = lambda: b"",
        bounds: Bounds | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Open the directory and go on where it stands; raises OSError.

        snapshot is asked for at every new segment and must speak of committed records
        only; `recovered_snapshot` and `recovered_tail` give it back after a restart.
        """
        self._files = files
        self._summarise = summarise
        self._snapshot = snapshot
        self._bounds = bounds or Bounds()
        self._clock = clock
        self._lock = threading.RLock()
        found = recover(files)
        self.stream = found.stream
        self.recovered_snapshot = found.snapshot
        self.recovered_tail = found.tail
        self.waiting = found.waiting
        """Records that are committed and not acknowledged."""
        self.dropped = found.dropped
        """Records dropped since the stream began."""
        self.damaged = len(found.damaged)
        """Segments found at this start that are set aside: their bytes cannot be trusted."""
        self._counted = found.counted
        self._segments = found.segments
        self._records_in_segment = 0
        """Of the segment in use; one of an earlier process is never written again."""
        self._offset = found.offset
        self._sequence = found.sequence
        self._next_sequence = found.next_sequence
        self._last_number = max((s.number for s in found.segments), default=0)
        self._descriptor: int | None = None
        self._is_handed_out = False
        self._repair(found.torn, found.damaged, found.replaced)

    @property
    def size_bytes(self) -> int:
        """Return the bytes of all segments; waits for no disk, so it may be a moment old."""
        return sum(segment.size for segment in tuple(self._segments))

    @property
    def fill(self) -> float:
        """Return the share of the bound that is in use, whichever bound is nearer."""
        limit = self._bounds.max_records
        records = self.waiting / limit if limit else 0.0
        return min(1.0, max(records, self.size_bytes / self._bounds.max_bytes))

    # --- writing --------------------------------------------------------------------

    def take_sequence(self) -> int:
        """Return a number that no other record of this stream has or will have."""
        with self._lock:
            self._next_sequence += 1
            return self._next_sequence - 1

    def commit(self, records: Sequence[Record]) -> None:
        """Store records durably, in one write and one fsync; raises OSError.

        After an error the caller may commit the same records again, with the same
        sequences: none is delivered twice.
        """
        with self._lock:
            self._append(records)
            self.waiting += len(records)
            try:
                self._keep_bounds()
            except OSError as error:
                # The records are stored; an error here would have them committed twice.
                logger.debug("old records could not be dropped: %s", error)

    def close(self) -> None:
        """Note how far the server has confirmed and close the segment."""
        with self._lock:
            if self._segments:
                self._save_cursor()
            self._close_segment()

    def _append(self, records: Sequence[Record]) -> None:
        """Write to the segment in use; a failed one is left for a new one, once."""
        data = b"".join(map(encode, records))
        try:
            self._write(data, len(records))
        except OSError:
            self._write(data, len(records))

    def _write(self, data: bytes, records: int) -> None:
        descriptor = self._descriptor
        if descriptor is None or self._is_full(self._segments[-1]):
            descriptor = self._start_segment()
        try:
            write_whole(self._files, descriptor, data)
            self._files.fsync(descriptor)
        except OSError:
            # Its pages may be gone from the cache and yet never have reached the disk.
            self._close_segment()
            raise
        self._segments[-1].size += len(data)
        self._records_in_segment += records

    def _is_full(self, segment: Segment) -> bool:
        age_seconds = self._clock() - segment.created_at
        return (
            segment.size >= self._bounds.segment_bytes
            or self._records_in_segment >= self._bounds.segment_records
            or age_seconds >= self._bounds.segment_seconds
        )

    def _start_segment(self) -> int:
        """Create the next segment, durable with its name and its opening record."""
        self._close_segment()
        self._last_number += 1
        now = self._clock()
        opening = Opening(self.stream, now, self._next_sequence, self._snapshot())
        data = encode(Record(0, msgspec.msgpack.encode(opening), Kind.OPENING))
        name = segment_name(self._last_number)
        self._descriptor = descriptor = self._files.open(name)
        try:
            write_whole(self._files, descriptor, data)
            self._files.fsync(descriptor)
            self._files.sync_directory()
        except OSError:
            self._close_segment()
            # A full disk is tried again every second: without this each try leaves a file.
            with contextlib.suppress(OSError):
                self._files.unlink(name)
            raise
        self._segments.append(Segment(self._last_number, len(data), now))
        self._records_in_segment = 0
        return descriptor

    def _close_segment(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            try:
                self._files.close(descriptor)
            except OSError as error:
                logger.debug("a segment did not close cleanly: %s", error)

    # --- reading --------------------------------------------------------------------

    def peek(self, limit: int) -> Batch | None:
        """Return the oldest records that wait, at most limit; None when none does.

        Without an acknowledgement between, the next call returns the same ones. Raises
        OSError.
        """
        with self._lock:
            while self._segments:
                segment = self._segments[0]
                batch = self._read(segment, limit)
                if batch.records:
                    self._is_handed_out = True
                    return batch
                if len(self._segments) == 1:
                    return None
                self._remove_oldest()
            return None

    def acknowledge(self, batch: Batch) -> None:
        """Take a batch as delivered; raises OSError when its segment cannot be removed."""
        with self._lock:
            self._is_handed_out = False
            if not self._segments or self._segments[0].number != batch.segment:
                return
            self._offset = batch.end
            self._sequence = batch.records[-1].sequence
            self.waiting -= len(batch.records)
            if len(self._segments) > 1 and batch.end >= self._segments[0].size:
                self._remove_oldest()
            else:
                # Not synced: if it is lost the records go again, and the server knows them.
                self._save_cursor(is_durable=False)

    def _read(self, segment: Segment, limit: int) -> Batch:
        """Read what is new in a segment, up to limit records."""
        name = segment_name(segment.number)
        data = self._files.read(name, self._offset, segment.size - self._offset)
        records: list[Record] = []
        end = self._offset
        for record, stop in sendable(data):
            end = self._offset + stop
            # A batch whose fsync failed may stand in two segments, under one sequence.
            if record.sequence > (records[-1].sequence if records else self._sequence):
                records.append(record)
            if len(records) == limit:
                break
        else:
            end = segment.size
        return Batch(tuple(records), segment.number, end)

    # --- removing -------------------------------------------------------------------

    def _remove_oldest(self) -> None:
        """Remove the oldest segment; the cursor is durable first, or it would be read anew."""
        segment = self._segments.pop(0)
        self._offset = 0
        self._save_cursor()
        self._remove(segment)

    def _remove(self, segment: Segment) -> None:
        """Remove a segment's file, or set it aside when part of it could not be read."""
        name = segment_name(segment.number)
        if not segment.is_damaged:
            self._files.unlink(name)
            return
        self._files.rename(name, name.replace(".segment", ".damaged"))
        aside = sorted(n for n in self._files.names() if n.endswith(".damaged"))
        for old in aside[:-MAX_DAMAGED_FILES]:
            self._files.unlink(old)

    def _save_cursor(self, *, is_durable: bool = True) -> None:
        """Store the position; without is_durable it survives the process only."""
        cursor = Cursor(
            stream=self.stream,
            segment=self._segments[0].number if self._segments else self._last_number + 1,
            offset=self._offset,
            sequence=self._sequence,
            dropped=self.dropped,
            counted=self._counted,
        )
        data = msgspec.json.encode(cursor)
        replace_file(self._files, CURSOR_NAME, data, is_durable=is_durable)

    def _keep_bounds(self) -> None:
        """Drop the oldest segments while there is too much or too old; never the one in use."""
        # Gap records take room too: without an end to it a tiny bound would drop them in turn.
        for _ in range(len(self._segments) - 1):
            if not (self._is_too_much() or self._is_too_old()):
                return
            # What was handed out may be stored by the server: dropping counts it twice.
            index = 1 if self._is_handed_out else 0
            if index >= len(self._segments) - 1:
                return
            self._drop(index)

    def _is_too_much(self) -> bool:
        limit = self._bounds.max_records
        if limit is not None and self.waiting > limit:
            return True
        return sum(segment.size for segment in self._segments) > self._bounds.max_bytes

    def _is_too_old(self) -> bool:
        # All of a segment's records are older than the segment behind it.
        return self._clock() - self._segments[1].created_at > self._bounds.max_age_seconds

    def _drop(self, index: int) -> None:
        """Replace a segment by its gap records: those first, then the cursor, then the file."""
        segment = self._segments[index]
        start = self._offset if index == 0 else 0
        data = self._files.read(segment_name(segment.number), start, segment.size - start)
        lost = [record for record, _ in sendable(data) if record.sequence > self._sequence]
        gaps = self._summarise([record.payload for record in lost], self.take_sequence)
        marks = [Record(sequence, payload, Kind.GAP) for sequence, payload in gaps]
        self._append([*marks, Record(0, b"%d" % segment.number, Kind.GAP_END)])
        self.waiting += len(marks) - len(lost)
        self.dropped += sum(record.kind is Kind.RESULT for record in lost)
        announce(logger, "results_dropped", count=len(lost))
        self._segments.remove(segment)
        if index == 0:
            self._offset = 0
        self._save_cursor()
        self._remove(segment)

    def _repair(
        self, torn: Segment | None, damaged: Mapping[int, int], replaced: frozenset[int]
    ) -> None:
        """Cut a torn tail, tell damage, and finish removals that a crash interrupted."""
        if torn is not None:
            self._files.truncate(segment_name(torn.number), torn.size)
        for number, lost in damaged.items():
            announce(logger, "outbox_damaged", segment=segment_name(number), count=lost)
        for segment in [s for s in self._segments if s.number in replaced]:
            if segment is self._segments[-1]:
                continue  # the snapshot of the last one is still needed
            self._segments.remove(segment)
            self._remove(segment)
        if damaged:
            with contextlib.suppress(OSError):  # then it is counted again at the next start
                self._save_cursor()
