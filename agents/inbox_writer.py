"""The writer: one thread per process that stores agents' messages by group commit.

A batch that fails is repeated step by step; a message that fails five times is set aside
with a line in the log, so that it never blocks what is behind it (R31). While the
database does not answer, nothing counts as failed and nothing is lost (R32).
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from agent_client.protocol import codec
from agents.inbox_batch import Submission, run_batch
from agents.inbox_registry import Registry
from agents.reply import Reply
from dialer_platform.storage.gathering import GatheringThread

log = logging.getLogger("dialer.agents.inbox")

MAX_WAITING = 20_000
MAX_BATCH = 500
MAX_TRIES = 5
DATABASE_PAUSE_SECONDS = 0.5
STALL_SECONDS = 10.0
"""A batch takes milliseconds; one that takes longer says that the server is not ready."""
MAX_LOGGED_CHARACTERS = 4_000


class Writer:
    """A bounded queue and the thread that empties it into the database."""

    def __init__(
        self,
        registry: Registry,
        *,
        run: Callable[[Registry, Sequence[Submission]], None] = run_batch,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        """Keep the registry; `run` stores a batch or raises."""
        self._registry = registry
        self._run_batch = run
        self._queue: GatheringThread[Submission] = GatheringThread(
            "inbox-writer",
            self._store,
            max_waiting=max_waiting,
            max_batch=MAX_BATCH,
            # Looked up in the thread: each has a connection of its own.
            on_end=lambda: connection.close(),
        )
        self.counts = {"batches": 0, "stored": 0, "retried": 0, "set_aside": 0, "refused": 0}

    @property
    def waiting(self) -> int:
        """Return how many submissions wait for the next commit."""
        return self._queue.waiting

    @property
    def is_moving(self) -> bool:
        """Return whether messages are stored: no batch has been under way for long."""
        return self._queue.busy_seconds < STALL_SECONDS

    def put(self, submission: Submission) -> bool:
        """Queue it for the next commit; False when the queue is full. Starts the thread."""
        is_queued = self._queue.put(submission)
        self.counts["refused"] += not is_queued
        return is_queued

    def start(self) -> None:
        """Start the thread unless it runs."""
        self._queue.start()

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Store what waits, then end the thread; what is not stored was never confirmed."""
        self._queue.stop(timeout_seconds)

    def _store(self, batch: list[Submission], stopping: threading.Event) -> None:
        """Store the batch together, else each of its steps alone, and tell the agents."""
        try:
            self._run_batch(self._registry, batch)
        except Exception as error:  # noqa: BLE001 - handlers are foreign; the steps find the culprit
            log.warning("a batch failed, repeating it step by step", extra={"data": _facts(error)})
            for submission in batch:
                self._store_alone(submission, stopping)
        else:
            for submission in batch:
                self._tell(submission)
        self.counts["batches"] += 1
        self.counts["stored"] += len(batch)

    def _store_alone(self, submission: Submission, stopping: threading.Event) -> None:
        """Store each step of a submission on its own and tell the agent once."""
        merged = Reply()
        for step in submission.split():
            self._try_step(step, stopping)
            merged.absorb(step.reply)
        submission.reply = merged
        self._tell(submission)

    def _try_step(self, step: Submission, stopping: threading.Event) -> None:
        """Try one step up to five times; then confirm and log it, and go on without it."""
        failures = 0
        while True:
            try:
                self._run_batch(self._registry, [step])
                return
            except (OperationalError, InterfaceError) as error:
                # The disk, a lock, the connection: never the message's fault.
                failures += database_answers()
                if failures >= MAX_TRIES or stopping.wait(DATABASE_PAUSE_SECONDS):
                    self._postpone(step, error)
                    return
            except Exception as error:  # noqa: BLE001 - whatever a handler raises, the stream goes on
                failures += 1
                if failures >= MAX_TRIES:
                    self._set_aside(step, error)
                    return
            self.counts["retried"] += 1

    @staticmethod
    def _postpone(step: Submission, error: Exception) -> None:
        """Leave the step unconfirmed, so that the agent keeps it and repeats it later."""
        log.error("the database takes no messages", extra={"data": _facts(error)})
        step.reply = Reply()
        for message in step.messages:
            step.reply.error(message.message_id, "unavailable", "Repeat it later.")

    def _set_aside(self, step: Submission, error: Exception) -> None:
        """Answer a poisoned message with an error and confirm it, so that it is not repeated."""
        self.counts["set_aside"] += 1
        step.reply = Reply()
        for message in step.messages:
            text = codec.encode(message).decode(errors="replace")[:MAX_LOGGED_CHARACTERS]
            facts = {"agent": step.principal.agent_id, "message": text, **_facts(error)}
            log.error("a message was set aside", extra={"data": facts}, exc_info=error)
            step.reply.error(message.message_id, "set_aside", "The server cannot process it.")
            step.reply.ack(message.message_id)
        if not step.messages:
            log.error("a beat could not be reconciled", exc_info=error)

    @staticmethod
    def _tell(submission: Submission) -> None:
        """Hand the reply to the waiting transport."""
        try:
            submission.on_done(submission.reply)
        except Exception:  # a transport that is gone must not stop the writer
            log.exception("an answer could not be handed over")


def database_answers() -> bool:
    """Return whether the database takes a trivial query; drops the thread's connection if not."""
    try:
        connection.close_if_unusable_or_obsolete()
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        connection.close()
        return False
    return True


def _facts(error: Exception) -> dict[str, str]:
    """Return what a log line says about an error."""
    return {"error": type(error).__name__, "detail": str(error)[:500]}
