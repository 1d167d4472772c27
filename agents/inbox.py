"""The one door through which agents' messages enter: the transports push, the apps handle.

Promises: a message is acknowledged only after its commit; the messages of one agent are
handled in order; a plain beat is answered from memory, however long the database hangs.
Never knows what a task is: `tasks` registers handlers here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from agent_client.protocol.messages import Answer, Heartbeat, Hello, Hold, LogChunk, Message
from agents import hot, pace, probe_duty, release_duty
from agents.inbox_batch import Submission
from agents.inbox_registry import (
    RANKS,
    Beat,
    BeatContributor,
    Handler,
    Incoming,
    LogGap,
    LogSink,
    Registry,
)
from agents.inbox_writer import Writer
from agents.log_lanes import LogLanes
from agents.plugins import wanted
from agents.principal import AgentPrincipal
from agents.reply import Reply
from dialer_platform.errors import Unavailable
from dialer_platform.storage.installation import installation_id

__all__ = [
    "AgentPrincipal",
    "Beat",
    "Incoming",
    "LogGap",
    "Reply",
    "chunk",
    "mark_dirty",
    "receive",
    "register",
    "register_beat",
    "register_log_sink",
    "submit",
]

RECONCILE_SECONDS = 30.0
"""A beat is reconciled at least this often, also when nothing seems to differ."""

registry = Registry()
writer = Writer(registry)
lanes = LogLanes(registry)
_dirty: set[str] = set()


class SlowDown(Unavailable):
    """The queue is full: the agent keeps its messages and comes again."""

    code = "slow_down"


def register(kind: type[Message], handler: Handler) -> None:
    """Let handler have all waiting messages of a kind, in the writer's transaction.

    They are acknowledged after the commit unless the handler called reply.error().
    """
    registry.register(kind, handler)


def register_beat(contributor: BeatContributor) -> None:
    """Let contributor add to the answers of beats that are reconciled."""
    registry.register_beat(contributor)


def register_log_sink(sink: LogSink) -> None:
    """Let sink store log chunks; it returns the next offset after its fsync or raises LogGap."""
    registry.register_log_sink(sink)


def mark_dirty(agent_id: str) -> None:
    """Have the agent's next beat reconciled, whoever changed what it should hold."""
    _dirty.add(agent_id)


def submit(
    principal: AgentPrincipal, messages: Sequence[Message], on_done: Callable[[Reply], None]
) -> bool:
    """Queue what one agent brought; on_done gets the reply in the writer's thread.

    Returns False when nothing has to be stored (plain beats): they are acknowledged by
    the caller from memory. Raises SlowDown when the queue is full.
    """
    submission = Submission(principal, on_done=on_done)
    flat = _flatten(messages)
    for message in flat:
        if isinstance(message, Heartbeat | Hello):
            submission.beat = message
            submission.holds = _note(principal, message)
            submission.reconcile |= _is_due(principal.agent_id, message)
    submission.messages = tuple(one for one in flat if type(one) in RANKS)
    if not submission.messages and not submission.reconcile:
        return False
    _queue(submission)
    return True


def wake(principal: AgentPrincipal, on_done: Callable[[Reply], None]) -> None:
    """Reconcile an agent now with what it said last: a change was made in another process."""
    known = hot.snapshot(principal.agent_id)
    holds = known.holds if known else None
    _queue(Submission(principal, (), None, holds, True, on_done))


def chunk(principal: AgentPrincipal, piece: LogChunk, on_done: Callable[[Reply], None]) -> None:
    """Queue a log chunk for its lane; on_done is called in its thread. Raises SlowDown."""
    if not lanes.put(principal, piece, on_done):
        raise SlowDown("Too many log bytes wait to be stored.")


def start() -> None:
    """Start the writer, so that the first message need not."""
    writer.start()


def stop() -> None:
    """Store what waits; what is not stored was never acknowledged."""
    writer.stop()
    lanes.stop()


async def receive(principal: AgentPrincipal, messages: Sequence[Message]) -> Answer:
    """Store what one HTTP request brought and return its answer; raises SlowDown."""
    done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    reply = await done if submit(principal, messages, _resolver(done)) else Reply()
    for beat in messages:
        if isinstance(beat, Heartbeat):
            reply.ack(beat.message_id)
    return reply.to_answer(
        epoch=hot.epoch(principal.agent_id) or principal.epoch,
        heartbeat_interval=pace.heartbeat_interval(),
        installation=installation_id(),
        probes_revision=probe_duty.revision(principal.agent_id),
        plugins_revision=wanted.revision(principal.agent_id),
        release=release_duty.wanted(principal.agent_id),
    )


async def receive_chunk(principal: AgentPrincipal, piece: LogChunk) -> Reply:
    """Store one log chunk and return what the agent is told; raises SlowDown."""
    done: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
    chunk(principal, piece, _resolver(done))
    return await done


def _resolver(future: asyncio.Future[Reply]) -> Callable[[Reply], None]:
    """Return a function that resolves the future on its loop, from any thread."""
    loop = future.get_loop()

    def set_result(reply: Reply) -> None:
        if not future.done():
            future.set_result(reply)

    def resolve(reply: Reply) -> None:
        loop.call_soon_threadsafe(set_result, reply)

    return resolve


def _flatten(messages: Sequence[Message]) -> list[Message]:
    """Return the messages with those that ride in a heartbeat put in front of it."""
    flat: list[Message] = []
    for message in messages:
        if isinstance(message, Heartbeat):
            flat += message.messages
        flat.append(message)
    return flat


def _note(principal: AgentPrincipal, beat: Heartbeat | Hello) -> tuple[Hold, ...] | None:
    """Remember a sign of life and return what the agent holds, None when that is unknown."""
    if isinstance(beat, Hello):
        return hot.note_hello(principal, beat)
    return hot.note_beat(principal, beat)


def _is_due(agent_id: str, beat: Heartbeat | Hello) -> bool:
    """Return whether the beat has to be reconciled with the database, and note that it is."""
    due = (
        isinstance(beat, Hello)
        or beat.holds is not None
        or agent_id in _dirty
        or hot.seconds_since_reconciled(agent_id) >= RECONCILE_SECONDS
    )
    if due:
        # Before the transaction reads: a mark set from now on asks for another round.
        _dirty.discard(agent_id)
        hot.note_reconciled(agent_id)
    return due


def _queue(submission: Submission) -> None:
    """Hand the submission to the writer; raises SlowDown when it takes no more."""
    if not writer.put(submission):
        if submission.reconcile:
            mark_dirty(submission.principal.agent_id)
        raise SlowDown("Too many messages wait to be stored.")
