"""Log chunks on their way to the store: a few threads, one task always in the same one.

Chunks never enter the writer's transaction: they are files. One lane per task keeps the
order of its chunks; several lanes keep a slow disk flush of one task from delaying the
others. Bounded by bytes; when full the transport tells the agent to slow down, and the
agent goes on from the offset that was acknowledged last.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from django.db import connections

from agent_client.protocol.messages import LogChunk
from agents.inbox_registry import LogGap, Registry
from agents.principal import AgentPrincipal
from agents.reply import Reply
from dialer_platform.errors import DomainError

log = logging.getLogger("dialer.agents.logs")

LANES = 4
MAX_LANE_BYTES = 32 * 1024 * 1024


class _Piece(NamedTuple):
    """One chunk, whose it is, and whom to tell."""

    principal: AgentPrincipal
    chunk: LogChunk
    on_done: Callable[[Reply], None]


class _Lane:
    """A thread that stores the chunks of its tasks in order of arrival."""

    def __init__(self, registry: Registry, name: str) -> None:
        """Keep the registry whose sink stores the chunks."""
        self._registry = registry
        self._name = name
        self._pieces: deque[_Piece] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def put(self, piece: _Piece) -> bool:
        """Queue a chunk; False when the lane holds its limit of bytes already."""
        with self._changed:
            if self._bytes >= MAX_LANE_BYTES:
                return False
            self._pieces.append(piece)
            self._bytes += len(piece.chunk.frames)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
            self._changed.notify()
        return True

    def stop(self, timeout_seconds: float) -> None:
        """Store what waits, then end the thread."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._changed.notify()
        if thread:
            thread.join(timeout_seconds)

    def _work(self) -> None:
        """Store chunk after chunk until the lane is stopped and empty."""
        me = threading.current_thread()
        try:
            while True:
                with self._changed:
                    while not self._pieces and self._thread is me:
                        self._changed.wait()
                    if not self._pieces:
                        return
                    piece = self._pieces.popleft()
                    self._bytes -= len(piece.chunk.frames)
                piece.on_done(store(self._registry, piece.principal, piece.chunk))
        finally:
            connections.close_all()


class LogLanes:
    """The lanes of one server process."""

    def __init__(self, registry: Registry, lanes: int = LANES) -> None:
        """Prepare the lanes; their threads start with the first chunk."""
        self._lanes = [_Lane(registry, f"log-lane-{number}") for number in range(lanes)]

    def put(
        self, principal: AgentPrincipal, chunk: LogChunk, on_done: Callable[[Reply], None]
    ) -> bool:
        """Queue a chunk; on_done is called in the lane's thread after the store has synced it."""
        lane = self._lanes[chunk.task_id % len(self._lanes)]
        return lane.put(_Piece(principal, chunk, on_done))

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Store what waits and end the threads."""
        for lane in self._lanes:
            lane.stop(timeout_seconds)


def store(registry: Registry, principal: AgentPrincipal, chunk: LogChunk) -> Reply:
    """Hand one chunk to the sink and return what the agent is told; never raises."""
    reply = Reply()
    if registry.log_sink is None:
        reply.error(chunk.message_id, "unavailable", "The server stores no logs yet.")
        return reply
    try:
        following = registry.log_sink(principal, chunk)
    except LogGap as gap:
        reply.log_next(chunk.task_id, chunk.offer, gap.expected)
    except DomainError as error:
        reply.error(chunk.message_id, error.code, error.detail)
    except Exception:  # the disk, the database: the bytes stay on the agent and come again
        log.exception("a log chunk could not be stored", extra={"data": {"task": chunk.task_id}})
        reply.error(chunk.message_id, "unavailable", "Repeat it later.")
    else:
        reply.ack(chunk.message_id)
        reply.log_next(chunk.task_id, chunk.offer, following)
    return reply
