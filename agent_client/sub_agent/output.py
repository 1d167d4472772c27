"""The one output file of a task: frames in the order in which the bytes were read.

Owns `output`: append only, one writer at a time (the sub-agent; after its death the main
agent for what was left in the pipes). Promises whole frames, offsets without gaps up to
the limit, and an exact count of what the limit cut. Never blocks the script: behind the
limit, or on a full disk, it goes on reading and counts.
"""

from __future__ import annotations

import os
import time

from agent_client.protocol import frames

READ_BYTES = frames.MAX_PAYLOAD_BYTES
FINAL_DRAIN_BYTES = 64 * 1024 * 1024
"""More than any pipe holds: reached only when somebody outside the task keeps writing."""


class OutputFile:
    """Appends payloads as frames; `written_bytes` and `cut_bytes` count payload only."""

    def __init__(self, path: str, *, limit_bytes: int | None = None) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._file_bytes, self.written_bytes = _whole_frames(self._descriptor)
        os.ftruncate(self._descriptor, self._file_bytes)
        self._limit_bytes = limit_bytes
        self.cut_bytes = 0
        self.failure = ""

    def append(self, stream: int, payload: bytes) -> None:
        """Write a payload as one frame, or as much of it as the limit leaves."""
        room = len(payload)
        if self._limit_bytes is not None:
            room = min(room, max(0, self._limit_bytes - self.written_bytes))
        if room and self._write(stream, payload[:room]):
            self.written_bytes += room
        else:
            room = 0
        self.cut_bytes += len(payload) - room

    def sync(self) -> None:
        """Make everything written durable."""
        try:
            os.fsync(self._descriptor)
        except OSError as error:
            self.failure = self.failure or f"output could not be synced: {error.strerror}"

    def close(self) -> None:
        """Close the file; the object is of no use afterwards."""
        os.close(self._descriptor)

    def _write(self, stream: int, payload: bytes) -> bool:
        """Append one whole frame; a failing disk cuts the log here for good."""
        header = frames.HEADER.pack(stream, int(time.time() * 1000), len(payload))
        size = len(header) + len(payload)
        try:
            done = os.writev(self._descriptor, (header, payload))
            if done < size:
                rest = memoryview(header + payload)[done:]
                while rest:
                    rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            # A torn frame would make everything behind it unreadable.
            os.ftruncate(self._descriptor, self._file_bytes)
            self._limit_bytes = self.written_bytes
            self.failure = f"output is cut: {error.strerror}"
            return False
        self._file_bytes += size
        return True


def _whole_frames(descriptor: int) -> tuple[int, int]:
    """Return how many bytes of the file are whole frames, and their payload's size."""
    size = os.fstat(descriptor).st_size
    position = payload = 0
    while position + frames.HEADER.size <= size:
        header = os.pread(descriptor, frames.HEADER.size, position)
        length = frames.HEADER.unpack(header)[2]
        behind = position + frames.HEADER.size + length
        if behind > size:
            break
        position, payload = behind, payload + length
    return position, payload


def drain(descriptor: int, stream: int, output: OutputFile, *, max_bytes: int) -> bool:
    """Move what a non-blocking pipe holds into the output; True when its end was reached.

    Reads at most max_bytes, because a writer outside the task could go on for ever.
    """
    while max_bytes > 0:
        try:
            data = os.read(descriptor, READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True
        if not data:
            return True
        output.append(stream, data)
        max_bytes -= len(data)
    return False
