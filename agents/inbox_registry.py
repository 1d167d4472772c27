"""Who handles which message: the table other apps fill, and the types handlers see.

Owns no thread and no data. Handlers run inside the writer's transaction: they only touch
the database and the Reply, and leave everything slower to `transaction.on_commit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent_client.protocol.messages import (
    Accepted,
    Flagged,
    Heartbeat,
    Hello,
    Hold,
    LogChunk,
    Message,
    Refused,
    Result,
    Started,
    SystemNews,
)
from agents.principal import AgentPrincipal
from agents.reply import Reply


class Incoming(NamedTuple):
    """One message of one agent, and where its answer is collected."""

    principal: AgentPrincipal
    message: Message
    reply: Reply


class Beat(NamedTuple):
    """One sign of life that is to be reconciled.

    `heartbeat` is None when the server itself asks for it (a doorbell from another
    process). `holds` is what the agent last said it holds, None when that is unknown.
    """

    principal: AgentPrincipal
    heartbeat: Heartbeat | Hello | None
    holds: tuple[Hold, ...] | None
    reply: Reply


class LogGap(Exception):
    """A log chunk begins beyond the stored end; `expected` is the offset to go on from."""

    def __init__(self, expected: int) -> None:
        """Keep the offset that the store expects."""
        super().__init__(f"the log continues at {expected}")
        self.expected = expected


Handler = Callable[[Sequence[Incoming]], None]
BeatContributor = Callable[[Sequence[Beat]], None]
LogSink = Callable[[AgentPrincipal, LogChunk], int]

# One agent's messages about one task come in this order; handlers run in it.
LIFE_ORDER: tuple[type[Message], ...] = (
    Hello,
    SystemNews,
    Accepted,
    Refused,
    Started,
    Flagged,
    Result,
)
RANKS = {kind: rank for rank, kind in enumerate(LIFE_ORDER)}


class Registry:
    """Handlers by message type, contributors to beats, and the one log sink."""

    def __init__(self) -> None:
        """Start empty."""
        self.handlers: dict[type[Message], Handler] = {}
        self.beat_contributors: list[BeatContributor] = []
        self.log_sink: LogSink | None = None

    def register(self, kind: type[Message], handler: Handler) -> None:
        """Set the handler of a message type; raises ValueError when it has one already."""
        if kind not in RANKS:
            raise ValueError(f"{kind.__name__} is not a message that the inbox hands on")
        if self.handlers.get(kind, handler) is not handler:
            raise ValueError(f"{kind.__name__} has a handler already")
        self.handlers[kind] = handler

    def register_beat(self, contributor: BeatContributor) -> None:
        """Add a contributor to the answers of beats; called in order of registration."""
        if contributor not in self.beat_contributors:
            self.beat_contributors.append(contributor)

    def register_log_sink(self, sink: LogSink) -> None:
        """Set the store of log chunks: returns the next offset, or raises LogGap."""
        self.log_sink = sink
