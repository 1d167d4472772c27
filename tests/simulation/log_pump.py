"""Log shipping without loop and threads: the real followers, pumped one chunk at a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent_client.log_follower import LogFollower
from agent_client.protocol.messages import LogChunk
from tests.simulation.disk import Key

STALL_SECONDS = 10.0


@dataclass(eq=False)
class Stream:
    """One task's log on its way."""

    follower: LogFollower
    progress_at: float
    is_final: bool = False
    final_bytes: int | None = None
    is_refused: bool = False


class LogPump:
    """Ships the logs of one simulated host; speaks as the real shipper does."""

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        next_id: Callable[[], str],
        on_shipped: Callable[[Key, int], None],
        on_stored: Callable[[Key], None],
    ) -> None:
        self._clock = clock
        self._next_id = next_id
        self._on_shipped = on_shipped
        self._on_stored = on_stored
        self._in_air: dict[str, Key] = {}
        self.streams: dict[Key, Stream] = {}

    def follow(self, key: Key, path: Path, *, is_new: bool) -> None:
        if key not in self.streams:
            follower = LogFollower(path, stored_offset=0 if is_new else None)
            self.streams[key] = Stream(follower, self._clock())

    def finish(self, key: Key) -> None:
        self.streams[key].is_final = True

    def drop(self, key: Key) -> None:
        stream = self.streams.pop(key, None)
        if stream is not None:
            stream.follower.close()

    def log_bytes(self, key: Key) -> int:
        stream = self.streams.get(key)
        return stream.follower.sent_offset if stream else 0

    def is_stored(self, key: Key) -> bool:
        stream = self.streams.get(key)
        if stream is None or stream.final_bytes is None:
            return stream is None
        return stream.is_refused or (stream.follower.stored_offset or 0) >= stream.final_bytes

    def stored(self, key: Key, offset: int) -> None:
        stream = self.streams.get(key)
        if stream is None:
            return
        stream.progress_at = self._clock()
        if stream.follower.stored(offset):
            stream.follower.seek(offset)
        if self.is_stored(key):
            self._on_stored(key)

    def confirmed(self, message_ids: tuple[str, ...]) -> None:
        for message_id in message_ids:
            self._in_air.pop(message_id, None)

    def refused(self, message_id: str, *, is_final: bool) -> bool:
        key = self._in_air.pop(message_id, None)
        stream = self.streams.get(key) if key else None
        if stream is not None and is_final:
            stream.is_refused = True
        return key is not None

    def connected(self) -> None:
        """Nothing waits here: chunks are pumped."""

    def disconnected(self) -> None:
        self._in_air.clear()
        for stream in self.streams.values():
            stream.follower.rewind()

    def close(self) -> None:
        for key in list(self.streams):
            self.drop(key)

    def chunks(self) -> list[LogChunk]:
        """Return what can be shipped now, one chunk for each log."""
        found = (self._next_chunk(key) for key in list(self.streams))
        return [chunk for chunk in found if chunk is not None]

    def _next_chunk(self, key: Key) -> LogChunk | None:
        stream = self.streams[key]
        follower = stream.follower
        is_late = self._clock() - stream.progress_at > STALL_SECONDS
        if is_late and not follower.is_stored:
            follower.rewind()
            stream.progress_at = self._clock()
        if stream.is_refused:
            self._at_end(key, stream)
            return None
        piece = follower.next_chunk() if follower.has_room else None
        if piece is None:
            # While the server's offset is unknown, what was sent is not all that there is.
            if follower.has_room:
                self._at_end(key, stream)
            return None
        message_id = self._next_id()
        self._in_air[message_id] = key
        offset, data = piece
        return LogChunk(
            message_id=message_id, task_id=key[0], offer=key[1], offset=offset, frames=data
        )

    def _at_end(self, key: Key, stream: Stream) -> None:
        is_over = stream.is_final or stream.is_refused
        if is_over and stream.final_bytes is None:
            stream.final_bytes = stream.follower.sent_offset
            self._on_shipped(key, stream.final_bytes)
            if self.is_stored(key):
                self._on_stored(key)
