"""Brings the output of tasks to the server: at once when little is said, in bulk when much.

Each task has a follower; ready followers take turns, one chunk at a time, so a task that
floods its log delays another one's line by one chunk only. The file is the outbox: what
the server has not confirmed is read again, nothing is kept in memory. After a reconnect
shipping goes on from the offset the server names. A task's log is `shipped` when its last
byte was handed to the connection, `stored` when the server has synced it.
Runs on the loop's thread; reads that may be long happen in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from agent_client.booking import TaskKey
from agent_client.file_watch import FileWatch
from agent_client.log_follower import LogFollower
from agent_client.protocol.messages import LogChunk
from agent_client.transport.base import ConnectionFailed

logger = logging.getLogger(__name__)

BATCH_SECONDS = 0.025
"""A task that begins to write all the time ships this often at first."""
FLUSH_SECONDS = 0.2
"""One that goes on so, little by little, ships at least this often."""
CHUNKS_PER_SECOND = 2000
"""So many chunks all chatty tasks may make: with more than 50 of them each ships less often."""
QUIET_SECONDS = 0.02
"""A task that was silent for this long ships its next line at once."""
STALL_SECONDS = 10.0
"""Sent bytes that are not confirmed for this long are sent again."""
SLOW_DOWN_SECONDS = 0.5
TOTAL_WINDOW_BYTES = 12 * 1024 * 1024
"""What all tasks together may have in the air; the server takes 16 MiB from a host."""


@dataclass(slots=True, eq=False)
class _Stream:
    """One task's log on its way."""

    key: TaskKey
    follower: LogFollower
    is_queued: bool = False
    is_final: bool = False
    final_bytes: int | None = None
    """Size of the whole log, once its last byte was handed over."""
    is_seeking: bool = False
    is_refused: bool = False
    sent_at: float = 0.0
    progress_at: float = 0.0
    timer: asyncio.TimerHandle | None = None
    burst_chunks: int = 0
    """Chunks sent since the end of the file was last met."""
    pace_seconds: float = 0.0


class _InAir(NamedTuple):
    """A chunk that was sent and not answered."""

    key: TaskKey
    size_bytes: int


class LogShipper:
    """Ships the logs of all tasks over one connection."""

    def __init__(
        self,
        *,
        send_chunk: Callable[[LogChunk], Awaitable[None]],
        next_id: Callable[[], str],
        on_shipped: Callable[[TaskKey, int], None],
        on_stored: Callable[[TaskKey], None],
        max_frames: int | None = None,
        flush_seconds: float = FLUSH_SECONDS,
    ) -> None:
        """on_shipped gets a finished task's number of bytes, on_stored follows the last ack.

        max_frames is how many pieces of output one chunk carries, flush_seconds how long
        output may wait for more of it; 0 sends each piece by itself.
        """
        self._send_chunk = send_chunk
        self._next_id = next_id
        self._on_shipped = on_shipped
        self._on_stored = on_stored
        self._max_frames = max_frames
        self._flush_seconds = flush_seconds
        self._streams: dict[TaskKey, _Stream] = {}
        self._in_air: dict[str, _InAir] = {}
        self._in_air_bytes = 0
        self._ready: deque[_Stream] = deque()
        self._work = asyncio.Event()
        self._seeks: set[asyncio.Task[None]] = set()
        self._is_connected = False
        self._watch: FileWatch | None = None
        self._paused_until = 0.0
        self.shipped_bytes = 0
        self.repeats = 0
        """How often shipping went back to what the server has."""

    # --- what the task side says ---------------------------------------------

    def follow(self, key: TaskKey, path: Path, *, is_new: bool) -> None:
        """Ship path from now on; is_new says that the server has nothing of it yet."""
        if key in self._streams:
            return
        stored_offset = 0 if is_new else None
        follower = LogFollower(path, stored_offset=stored_offset, max_frames=self._max_frames)
        stream = _Stream(key, follower)
        stream.progress_at = _now()
        self._streams[key] = stream
        self._queue(stream)

    def finish(self, key: TaskKey) -> None:
        """Say that the file is final: when its last byte is out, on_shipped is called."""
        stream = self._streams.get(key)
        if stream is not None and not stream.is_final:
            stream.is_final = True
            self._queue(stream)

    def drop(self, key: TaskKey) -> None:
        """Ship this task no more."""
        stream = self._streams.pop(key, None)
        if stream is not None:
            self._unwatch(stream)
            self._clear_air(key)
            if stream.timer is not None:
                stream.timer.cancel()
            stream.follower.close()

    def log_bytes(self, key: TaskKey) -> int:
        """Return how many payload bytes of the task were read so far."""
        stream = self._streams.get(key)
        return stream.follower.sent_offset if stream else 0

    def is_stored(self, key: TaskKey) -> bool:
        """Return whether nothing of the task's log is left to bring to the server."""
        stream = self._streams.get(key)
        if stream is None or stream.final_bytes is None:
            return stream is None
        return stream.is_refused or (stream.follower.stored_offset or 0) >= stream.final_bytes

    # --- what the server says ------------------------------------------------

    def stored(self, key: TaskKey, offset: int) -> None:
        """Note that the server has the log up to offset, and go on from there."""
        stream = self._streams.get(key)
        if stream is None:
            return
        stream.progress_at = _now()
        if stream.follower.stored(offset):
            self._seek(stream, offset)
        elif stream.follower.has_room:
            self._queue(stream)
        if self.is_stored(key):
            self._on_stored(key)

    def confirmed(self, message_ids: tuple[str, ...]) -> None:
        """Forget whose chunks these were."""
        for message_id in message_ids:
            self._landed(message_id)

    def refused(self, message_id: str, *, is_final: bool) -> bool:
        """Handle a refused chunk; returns False when the message was none of ours.

        A final refusal (the server does not know the task) ends the shipping of this log;
        any other one means the same bytes again, after a pause.
        """
        piece = self._landed(message_id)
        stream = self._streams.get(piece.key) if piece else None
        if stream is None:
            return piece is not None
        if is_final:
            stream.is_refused = True
            self._unwatch(stream)
            self._queue(stream)
            if self.is_stored(stream.key):
                self._on_stored(stream.key)
        else:
            self._paused_until = _now() + SLOW_DOWN_SECONDS
            self._repeat(stream)
        return True

    def connected(self) -> None:
        """Begin to send."""
        self._is_connected = True
        self._work.set()

    def disconnected(self) -> None:
        """Go back to what is stored; nobody knows what of the rest arrived."""
        self._is_connected = False
        self._in_air.clear()
        self._in_air_bytes = 0
        for stream in self._streams.values():
            self._repeat(stream)

    # --- the work --------------------------------------------------------------

    async def run(self) -> None:
        """Send chunk after chunk, one task after the other, until canceled."""
        self._watch = FileWatch(asyncio.get_running_loop())
        checks = asyncio.create_task(self._check_stalls())
        try:
            for stream in self._streams.values():
                self._queue(stream)
            while True:
                await self._work.wait()
                is_full = self._in_air_bytes >= TOTAL_WINDOW_BYTES
                if not self._ready or not self._is_connected or is_full:
                    self._work.clear()
                    continue
                if self._paused_until > _now():
                    await asyncio.sleep(self._paused_until - _now())
                await self._ship_one(self._ready.popleft())
        finally:
            checks.cancel()
            self._watch.close()
            for key in list(self._streams):
                self.drop(key)

    async def _ship_one(self, stream: _Stream) -> None:
        """Send one chunk of a stream and queue it again while there may be more."""
        stream.is_queued = False
        if self._streams.get(stream.key) is not stream or stream.is_seeking:
            return
        if stream.is_refused:
            self._end(stream)
            return
        if not stream.follower.has_room:
            return
        chunk = stream.follower.next_chunk()
        if chunk is None:
            self._at_end(stream)
            return
        offset, frames = chunk
        stream.sent_at = _now()
        stream.burst_chunks += 1
        if stream.follower.stored_offset == offset:
            stream.progress_at = stream.sent_at
        message_id = self._next_id()
        self._in_air[message_id] = _InAir(stream.key, len(frames))
        self._in_air_bytes += len(frames)
        task_id, offer = stream.key
        try:
            await self._send_chunk(
                LogChunk(
                    message_id=message_id,
                    task_id=task_id,
                    offer=offer,
                    offset=offset,
                    frames=frames,
                )
            )
        except ConnectionFailed:
            return  # `disconnected` follows and goes back to what is stored
        self.shipped_bytes += len(frames)
        self._queue(stream)

    def _at_end(self, stream: _Stream) -> None:
        """Wait for more, or say that this was all."""
        if stream.is_final:
            self._end(stream)
        elif self._watch is not None:
            self._watch.add(stream.follower.path, lambda: self._changed(stream))
            if stream.follower.has_more():  # written between the read and the watch
                self._changed(stream)

    def _end(self, stream: _Stream) -> None:
        """Say once that the last byte is out."""
        self._unwatch(stream)
        if stream.final_bytes is None:
            stream.final_bytes = stream.follower.sent_offset
            self._on_shipped(stream.key, stream.final_bytes)
            if self.is_stored(stream.key):
                self._on_stored(stream.key)

    def _changed(self, stream: _Stream) -> None:
        """Ship now when the task was quiet, else with what comes in the next moments."""
        if stream.is_queued or stream.timer is not None:
            return
        since_seconds = _now() - stream.sent_at
        if since_seconds >= QUIET_SECONDS:
            stream.pace_seconds, stream.burst_chunks = 0.0, 0
            self._queue(stream)
            return
        stream.pace_seconds = next_pace(
            stream.pace_seconds, flush_seconds=self._flush_seconds, chunks=stream.burst_chunks
        )
        stream.burst_chunks = 0

        def later() -> None:
            stream.timer = None
            self._queue(stream)

        pace_seconds = max(stream.pace_seconds, len(self._streams) / CHUNKS_PER_SECOND)
        pause_seconds = pace_seconds - since_seconds
        stream.timer = asyncio.get_running_loop().call_later(pause_seconds, later)

    def _queue(self, stream: _Stream) -> None:
        """Give the stream a turn."""
        if not stream.is_queued:
            stream.is_queued = True
            self._ready.append(stream)
            self._work.set()

    def _repeat(self, stream: _Stream) -> None:
        """Send again from what is stored."""
        if not stream.follower.is_stored:
            self.repeats += 1
        self._clear_air(stream.key)
        stream.follower.rewind()
        stream.progress_at = _now()
        self._queue(stream)

    def _seek(self, stream: _Stream, offset: int) -> None:
        """Find the place of offset in the file, in a thread: it may be far."""
        if stream.is_seeking:
            return
        stream.is_seeking = True

        async def seek() -> None:
            await asyncio.to_thread(stream.follower.seek, offset)
            stream.is_seeking = False
            self._queue(stream)

        task = asyncio.create_task(seek())
        self._seeks.add(task)
        task.add_done_callback(self._seeks.discard)

    async def _check_stalls(self) -> None:
        """Send again what was not confirmed for long: a chunk or its answer got lost."""
        while True:
            await asyncio.sleep(STALL_SECONDS / 2)
            for stream in self._streams.values():
                is_late = _now() - stream.progress_at > STALL_SECONDS
                if is_late and self._is_connected and not stream.follower.is_stored:
                    self._repeat(stream)

    def _landed(self, message_id: str) -> _InAir | None:
        """Take a chunk out of the air and return what it was; None when it was not there."""
        piece = self._in_air.pop(message_id, None)
        if piece is not None:
            self._in_air_bytes -= piece.size_bytes
            self._work.set()
        return piece

    def _clear_air(self, key: TaskKey) -> None:
        """Take all chunks of one task out of the air: their answers mean nothing any more."""
        for message_id in [name for name, piece in self._in_air.items() if piece.key == key]:
            self._landed(message_id)

    def _unwatch(self, stream: _Stream) -> None:
        if self._watch is not None:
            self._watch.remove(stream.follower.path)


def next_pace(pace_seconds: float, *, flush_seconds: float, chunks: int) -> float:
    """Return how long a busy task's output waits for more, after a flush of so many chunks.

    A trickle is sent ever more rarely: each chunk costs the server a write. What fills
    more than one chunk is a flood, and waiting would only leave the way unused.
    """
    shortest = min(BATCH_SECONDS, flush_seconds)
    return shortest if chunks > 1 else min(max(pace_seconds * 2, shortest), flush_seconds)


def _now() -> float:
    """Return the loop's clock, in seconds."""
    return asyncio.get_running_loop().time()
