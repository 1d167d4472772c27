"""Fetches a file from the host: sent in chunks, resumable, and checked for changes meanwhile."""

from __future__ import annotations

import hashlib
import os

from agent_client.errors import Rejected
from agent_client.files.bandwidth import Pace
from agent_client.files.progress import Progress, amount
from agent_client.files.server import TransferServer
from agent_client.protocol.transfers import MAX_CHUNK_BYTES

MAX_STEPS_BACK = 100
"""So often a server may have lost what it had, say by power cuts, before somebody looks."""


class _Source:
    """An open file that is read in any order and digested in one."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self._path = path
        self._digest = hashlib.sha256()
        self._digested = 0

    def read(self, offset: int, size: int) -> bytes:
        """Return exactly so many bytes; raises Rejected when the file has become shorter."""
        data = os.pread(self._descriptor, size, offset)
        if len(data) < size:
            raise changed(self._path)
        if offset == self._digested:
            self._digest.update(data)
            self._digested += size
        return data

    def digest_until(self, offset: int) -> None:
        """Digest what was not read yet before an offset."""
        while self._digested < offset:
            self.read(self._digested, min(MAX_CHUNK_BYTES, offset - self._digested))

    def digest(self, total: int) -> str:
        """Return the digest of the first so many bytes."""
        self.digest_until(total)
        return self._digest.hexdigest()


def send(
    descriptor: int, path: str, *, server: TransferServer, pace: Pace, progress: Progress
) -> None:
    """Send what an open file holds now; raises Rejected or OSError.

    Bytes appended meanwhile are left for the next time, so that logs can be fetched. Any
    other change is an error: what arrived would be no state the file ever had.
    """
    before = os.fstat(descriptor)
    source, total = _Source(descriptor, path), before.st_size
    sent, steps_back = server.state().next, 0
    while sent < total:
        # What the server has already is only read, for the digest of the whole.
        source.digest_until(sent)
        size = min(MAX_CHUNK_BYTES, pace.chunk_bytes or MAX_CHUNK_BYTES, total - sent)
        data = source.read(sent, size)
        pace.wait(size)
        following = server.put(sent, data)
        steps_back += following <= sent
        if steps_back > MAX_STEPS_BACK:
            raise Rejected("The server loses what it gets.", code="server_answer_invalid")
        sent = following
        progress.moved(sent, total)
    _check_unchanged(descriptor, before, path, progress)
    server.end(total, source.digest(total))
    progress.say(f"{path}: {amount(total)} sent whole")


def send_bytes(data: bytes, *, server: TransferServer) -> None:
    """Send a small content as a whole."""
    for offset in range(0, len(data), MAX_CHUNK_BYTES):
        server.put(offset, data[offset : offset + MAX_CHUNK_BYTES])
    server.end(len(data), hashlib.sha256(data).hexdigest())


def changed(path: str) -> Rejected:
    """Return the error about a file that is another one than at the start."""
    return Rejected(f"{path} was changed while it was sent.", code="file_changed")


def _check_unchanged(
    descriptor: int, before: os.stat_result, path: str, progress: Progress
) -> None:
    """Raise Rejected when what was sent is no state of the file."""
    after = os.fstat(descriptor)
    is_touched = after.st_mtime_ns != before.st_mtime_ns
    if after.st_size < before.st_size or (is_touched and after.st_size == before.st_size):
        raise changed(path)
    if after.st_size > before.st_size:
        grown = amount(after.st_size - before.st_size)
        progress.say(f"{path} has grown by {grown} since; that was not sent")
