"""Follows one log file by its lines, through renames, truncation, absence and restarts.

A line is given once it has its end. Where the reading stands is a `Mark`: which file, how
far, and the bytes just before, which tell a file that was rewritten from one that grew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

MAX_LINE_BYTES = 64 * 1024
"""A longer line is given in pieces."""
MAX_READ_BYTES = 8 * 1024 * 1024
"""Of one file at once; what is left is read the next time."""
MAX_BACKLOG_BYTES = 64 * 1024 * 1024
"""A file that runs away by more is caught up with by leaving bytes out."""
MAX_SIBLINGS = 2_000
_CHUNK_BYTES = 256 * 1024
_TRACE_BYTES = 64


class Mark(NamedTuple):
    """How far a file was read; trace is the hex of the bytes before the offset."""

    device: int
    inode: int
    offset: int
    trace: str = ""


@dataclass(slots=True)
class _Open:
    """A file that is open, and how far it was read."""

    descriptor: int
    offset: int

    def mark(self) -> Mark:
        # Asked of the open file: its name may lead to another one by now.
        found = os.fstat(self.descriptor)
        return Mark(found.st_dev, found.st_ino, self.offset, _trace(self.descriptor, self.offset))

    def left_bytes(self) -> int:
        return max(0, os.fstat(self.descriptor).st_size - self.offset)

    def has_whole_chunks(self) -> bool:
        """Return whether more is left than a line without its end."""
        return self.left_bytes() >= MAX_LINE_BYTES

    def is_rewritten(self, trace: str) -> bool:
        """Return whether the file is no longer the one whose beginning was read."""
        # Shorter than what was read: truncated in place (copytruncate).
        if os.fstat(self.descriptor).st_size < self.offset:
            return True
        return _trace(self.descriptor, self.offset) != trace


class Follower:
    """One path and the lines that are written to it."""

    def __init__(
        self, path: str, *, open_file: Callable[[str], int], mark: Mark | None, from_start: bool
    ) -> None:
        """open_file opens a path for reading, or raises OSError or another refusal.

        A file without a mark that is there at `settle` is read from its end, unless
        from_start says otherwise; one that appears later is read from its start.
        """
        self.path = path
        self._open_file = open_file
        self._current: _Open | None = None
        self._trace = ""
        self._mark = mark
        self._from_start = from_start
        self.skipped_bytes = 0
        """Left out because the file ran away."""

    def mark(self) -> Mark | None:
        """Return how far the file was read, None while there was none."""
        return self._current.mark() if self._current is not None else self._mark

    def settle(self) -> None:
        """Decide where following begins, now; raises what open_file raises."""
        # Whatever appears after this moment was written after it, so it is read as a whole.
        is_new = self._mark is None and not self._from_start
        self._from_start = True
        if is_new and self._current is None:
            try:
                descriptor = self._open_file(self.path)
            except FileNotFoundError:
                return
            self._current = _Open(descriptor, os.fstat(descriptor).st_size)
            self._note(self._current)

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that were written since; raises what open_file raises."""
        if self._current is None:
            yield from self._begin()
        if self._current is None:
            return
        yield from self._read(self._current)
        if not self._current.has_whole_chunks():
            yield from self._leave_if_replaced(self._current)

    def close(self) -> None:
        """Close the file, remembering how far it was read."""
        if self._current is not None:
            self._mark = self._current.mark()
            os.close(self._current.descriptor)
            self._current = None

    # --- which file ----------------------------------------------------------------

    def _begin(self) -> Iterator[bytes]:
        """Open the file where it was left, or where following begins."""
        try:
            descriptor = self._open_file(self.path)
        except FileNotFoundError:
            return
        found, mark = os.fstat(descriptor), self._mark
        # A mark that fits nothing means a new file: from its start.
        current = self._current = _Open(descriptor, 0)
        if mark is not None and (found.st_dev, found.st_ino) == (mark.device, mark.inode):
            current.offset = mark.offset
            if current.is_rewritten(mark.trace):
                current.offset = 0
        self._note(current)
        if mark is not None and (found.st_dev, found.st_ino) != (mark.device, mark.inode):
            yield from self._rest_of_renamed(mark)

    def _rest_of_renamed(self, mark: Mark) -> Iterator[bytes]:
        """Yield what was written to the file of the mark before it was rotated away."""
        # Rotation keeps the inode, so the rest can be found under its new name.
        renamed = _sibling(Path(self.path), mark)
        if renamed is None:
            return
        try:
            old = _Open(self._open_file(renamed), mark.offset)
        except OSError:
            return
        try:
            if not old.is_rewritten(mark.trace):
                yield from self._pieces(old, until_end=True)
                self.skipped_bytes += old.left_bytes()
        finally:
            os.close(old.descriptor)

    def _leave_if_replaced(self, old: _Open) -> Iterator[bytes]:
        """When the path leads elsewhere now, read the old file to its end, then the new one."""
        # Compared only after the old file was read: its writer may hold it open for a while.
        then = os.fstat(old.descriptor)
        try:
            # The same text that is opened: a link through /proc would lead elsewhere each time.
            now = Path(os.path.realpath(self.path)).stat()
        except OSError:
            # Renamed, more may still come; but a deleted file must not keep its space.
            if then.st_nlink:
                return
        else:
            if (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino):
                return
        yield from self._pieces(old, until_end=True)
        os.close(old.descriptor)
        self._current = self._mark = None
        yield from self._begin()
        if self._current is not None:
            yield from self._read(self._current)

    # --- bytes ---------------------------------------------------------------------

    def _read(self, current: _Open) -> Iterator[bytes]:
        """Yield the new lines of the open file."""
        if current.is_rewritten(self._trace):
            current.offset = 0
        # Newest lines are worth more than complete ones, and memory and server are bounded.
        backlog = current.left_bytes()
        if backlog > MAX_BACKLOG_BYTES:
            left_out = backlog - MAX_READ_BYTES
            self.skipped_bytes += left_out
            current.offset += left_out
        try:
            yield from self._pieces(current)
        finally:
            self._note(current)

    def _pieces(self, current: _Open, *, until_end: bool = False) -> Iterator[bytes]:
        """Yield whole lines; until_end also a last one without an end."""
        rest, taken = b"", 0
        while taken < MAX_READ_BYTES:
            # pread keeps no position of its own that could disagree with the offset.
            data = os.pread(current.descriptor, _CHUNK_BYTES, current.offset + len(rest))
            if not data:
                break
            taken += len(data)
            *whole, rest = (rest + data).split(b"\n")
            # The offset moves before the line is given: who stops half-way does not get it twice.
            for line in whole:
                current.offset += len(line) + 1
                yield from _cut(line)
            while len(rest) >= MAX_LINE_BYTES:
                current.offset += MAX_LINE_BYTES
                yield rest[:MAX_LINE_BYTES]
                rest = rest[MAX_LINE_BYTES:]
        if until_end and rest:
            current.offset += len(rest)
            yield rest

    def _note(self, current: _Open) -> None:
        self._trace = _trace(current.descriptor, current.offset)


def _cut(line: bytes) -> Iterator[bytes]:
    """Yield a line in pieces that are not too long; an empty one stays one."""
    for start in range(0, max(1, len(line)), MAX_LINE_BYTES):
        yield line[start : start + MAX_LINE_BYTES]


def _trace(descriptor: int, offset: int) -> str:
    """Return the bytes before an offset."""
    # An inode is soon given again; bytes just before the offset tell the files apart.
    size = min(_TRACE_BYTES, offset)
    return os.pread(descriptor, size, offset - size).hex()


def _sibling(path: Path, mark: Mark) -> str | None:
    """Return the file beside a path that the mark is about: rotated logs keep their inode."""
    try:
        with os.scandir(path.parent) as entries:
            for _, entry in zip(range(MAX_SIBLINGS), entries, strict=False):
                if entry.inode() == mark.inode and entry.name.startswith(path.stem):
                    return entry.path
    except OSError:
        return None
    return None
