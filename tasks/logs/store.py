"""Where logs are written: `<id>.log` holds the bytes, `<id>.idx` says what they are.

Guarantees (R5, R8): appending is idempotent by offset: what is stored already is skipped,
what begins beyond the end is refused with the expected offset. `append` returns after the
bytes, then their index, were flushed to the disk, so an acknowledged byte survives a power
cut. A tail torn by a crash is cut off when the log is opened for writing again: it was
never acknowledged, the agent sends it again.

One process writes a task's log at a time: the one its agent talks to.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from agent_client.protocol import frames
from tasks.logs.index import RECORD_BYTES, START, Index, Piece, pack

MAX_OPEN_LOGS = 128
JOIN_WITHIN_MS = 10
"""Neighbouring frames of one stream this close in time become one piece of the index."""
_MODE = 0o600


class Gap(Exception):
    """Bytes were offered beyond the stored end; `expected` is where to go on."""

    def __init__(self, expected: int) -> None:
        """Keep the expected offset."""
        super().__init__(f"the log continues at {expected}")
        self.expected = expected


class _OpenLog:
    """The two files of one log, open for appending; its lock admits one writer."""

    def __init__(self, stem: Path) -> None:
        """Keep the path; the files are opened under the lock, by whoever writes first."""
        self.lock = threading.Lock()
        self.users = 0
        self._stem = stem
        self._log = self._index = -1
        self._index_bytes = 0
        self._last = START

    def prepare(self) -> None:
        """Open or create the files, and look at them again if another process wrote to them."""
        if self._index < 0:
            self._open()
        elif os.fstat(self._index).st_size != self._index_bytes:
            self._recover()

    def append(self, offset: int, pieces: Iterable[frames.Frame]) -> int:
        """Store what is new of the frames that begin at a merged offset; returns the new end."""
        if offset > self._last.end:
            raise Gap(self._last.end)
        payloads: list[bytes] = []
        records: list[Piece] = []
        last = self._last
        for stream, time_ms, payload in pieces:
            known = last.end - offset
            offset += len(payload)
            fresh = payload[known:] if known > 0 else payload
            if fresh:
                last = _extend(records, last, stream, time_ms, len(fresh))
                payloads.append(fresh)
        if payloads:
            self._write(b"".join(payloads), records)
        return self._last.end

    def append_stream(self, stream: int, offset: int, data: bytes) -> int:
        """Store what is new of one stream's bytes at its own offset; returns its new end."""
        end = self._last.after(stream)
        if offset > end:
            raise Gap(end)
        fresh = data[end - offset :]
        now_ms = time.time_ns() // 1_000_000
        cuts = range(0, len(fresh), frames.MAX_PAYLOAD_BYTES)
        cut = (fresh[start : start + frames.MAX_PAYLOAD_BYTES] for start in cuts)
        self.append(self._last.end, (frames.Frame(stream, now_ms, part) for part in cut))
        return self._last.after(stream)

    @property
    def end(self) -> int:
        """Return the size of the merged log."""
        return self._last.end

    def close(self) -> None:
        """Close both files."""
        for descriptor in (self._log, self._index):
            if descriptor >= 0:
                os.close(descriptor)
        self._log = self._index = -1

    def _open(self) -> None:
        """Open the files and cut off what a crash left behind."""
        is_new = not self._stem.with_suffix(".idx").exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._log = os.open(self._stem.with_suffix(".log"), flags, _MODE)
        self._index = os.open(self._stem.with_suffix(".idx"), flags, _MODE)
        self._recover()
        if is_new:
            _sync_directory(self._stem.parent)

    def _write(self, payload: bytes, records: list[Piece]) -> None:
        """Write bytes, flush, then their records, flush: a record never points at nothing.

        After an error the files are cut back to the last acknowledged state.
        """
        try:
            _write_at(self._log, payload, self._last.end)
            os.fdatasync(self._log)
            packed = pack(records)
            _write_at(self._index, packed, self._index_bytes)
            os.fdatasync(self._index)
        except OSError:
            os.ftruncate(self._index, self._index_bytes)
            os.ftruncate(self._log, self._last.end)
            raise
        self._index_bytes += len(packed)
        self._last = records[-1]

    def _recover(self) -> None:
        """Cut both files to the longest state they agree on."""
        stored_bytes = os.fstat(self._log).st_size
        index = Index(self._index)
        whole = index.first(lambda piece: piece.end > stored_bytes)
        self._last = index[whole - 1] if whole else START
        self._index_bytes = whole * RECORD_BYTES
        os.ftruncate(self._index, self._index_bytes)
        os.ftruncate(self._log, self._last.end)


class LogStore:
    """All logs below one directory; keeps a bounded number of them open for writing."""

    def __init__(self, directory: Path, *, max_open: int = MAX_OPEN_LOGS) -> None:
        """Make the directory if it is missing."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._max_open = max_open
        self._guard = threading.Lock()
        self._open: OrderedDict[int, _OpenLog] = OrderedDict()

    def append(self, task_id: int, offset: int, data: bytes) -> int:
        """Append whole frames that begin at a merged offset; returns the new end.

        Raises Gap beyond the end, frames.FrameError for bytes that are no frames.
        """
        pieces = list(frames.decode(data))
        with self._writing(task_id) as log:
            return log.append(offset, pieces)

    def append_stream(self, task_id: int, stream: int, offset: int, data: bytes) -> int:
        """Append raw bytes of one stream at its own offset; returns the stream's new end."""
        with self._writing(task_id) as log:
            return log.append_stream(stream, offset, data)

    def stem(self, task_id: int) -> Path:
        """Return the path of a log's files without their suffix."""
        return self._directory / str(int(task_id))

    def close(self) -> None:
        """Close every file that nobody is writing to."""
        with self._guard:
            self._evict(0)

    @contextmanager
    def _writing(self, task_id: int) -> Iterator[_OpenLog]:
        """Yield the open log, alone."""
        log = self._acquire(task_id)
        try:
            with log.lock:
                log.prepare()
                yield log
        finally:
            with self._guard:
                log.users -= 1
                self._evict(self._max_open)

    def _acquire(self, task_id: int) -> _OpenLog:
        """Return the log from the cache or open it; it stays open while it has users."""
        with self._guard:
            log = self._open.get(task_id)
            if log is None:
                log = self._open[task_id] = _OpenLog(self.stem(task_id))
            self._open.move_to_end(task_id)
            log.users += 1
            return log

    def _evict(self, limit: int) -> None:
        """Close the least recently used logs above the limit; the caller holds the guard."""
        for task_id in [number for number, log in self._open.items() if not log.users]:
            if len(self._open) <= limit:
                return
            self._open.pop(task_id).close()


def _extend(records: list[Piece], last: Piece, stream: int, time_ms: int, length: int) -> Piece:
    """Add a piece behind the last one, joining it with its neighbour where that loses nothing."""
    joins = (
        records
        and last.stream == stream
        and 0 <= time_ms - last.time_ms <= JOIN_WITHIN_MS
        and last.length + length <= frames.MAX_PAYLOAD_BYTES
    )
    if joins:
        records[-1] = last._replace(length=last.length + length)
    else:
        records.append(Piece(last.end, last.stderr_after, time_ms, length, stream))
    return records[-1]


def _write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all bytes at an offset, however often the system stops half-way."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _sync_directory(directory: Path) -> None:
    """Make the names of new files durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
