"""What the server is told about tasks: each state as the message that carries it.

Puts messages into the session and has them sent at once: a `go` or a free slot may wait
for them. Decides nothing about tasks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent_client.booking import TaskKey
from agent_client.catalogue import announce
from agent_client.errors import Rejected
from agent_client.protocol.messages import (
    Accepted,
    Flagged,
    QueuedMessage,
    Refused,
    Result,
    Started,
    TaskSpec,
)
from agent_client.protocol.session import Session

if TYPE_CHECKING:
    from agent_client.tasks.supervisor import LocalTask

logger = logging.getLogger(__name__)


class RunReports:
    """Makes and queues the state messages of tasks."""

    def __init__(
        self,
        session: Session,
        *,
        flush: Callable[[], None],
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        """flush sends what the session holds; it is called after every message."""
        self._session = session
        self._flush = flush
        self._wall_clock = wall_clock

    def accepted(self, key: TaskKey) -> None:
        """Say that an offer is booked and stored."""
        task_id, offer = key
        announce(logger, "offer_accepted", task_id=task_id, offer=offer)
        self._say(Accepted(message_id=self._session.next_id(), task_id=task_id, offer=offer))

    def refused(self, spec: TaskSpec, error: Rejected) -> None:
        """Say that an offer is not taken, and why."""
        announce(logger, "offer_refused", task_id=spec.task_id, offer=spec.offer, code=error.code)
        self._say(
            Refused(
                message_id=self._session.next_id(),
                task_id=spec.task_id,
                offer=spec.offer,
                code=error.code,
                detail=error.detail,
            )
        )

    def started(self, task: LocalTask) -> None:
        """Say that the script's process runs, and since when."""
        if task.identity is None:
            return
        announce(logger, "task_started", task_id=task.key[0], pid=task.identity.pid)
        self._say(
            Started(
                message_id=self._session.next_id(),
                task_id=task.key[0],
                offer=task.key[1],
                pid=task.identity.pid,
                started_at=task.started_at or self._wall_clock(),
                boot_id=task.identity.boot_id,
            )
        )

    def ended(self, task: LocalTask, log_bytes: int) -> None:
        """Report the end of a task; log_bytes is what was really shipped."""
        record = task.exit
        if record is None:
            return
        self._say(
            Result(
                message_id=self._session.next_id(),
                task_id=task.key[0],
                offer=task.key[1],
                reason=record.reason,
                finished_at=record.finished_at,
                exit_code=record.exit_code,
                signal=record.signal,
                started_at=record.started_at,
                duration_seconds=record.duration_seconds,
                log_bytes=log_bytes,
                log_truncated_bytes=record.log_truncated_bytes,
                detail=record.detail,
            )
        )

    def ended_unstarted(self, key: TaskKey, *, reason: str, detail: str) -> None:
        """Report the end of a task that never had a process here."""
        self._say(
            Result(
                message_id=self._session.next_id(),
                task_id=key[0],
                offer=key[1],
                reason=reason,
                finished_at=self._wall_clock(),
                detail=detail,
            )
        )

    def unkillable(self, task: LocalTask) -> None:
        """Say that processes of a task survive KILL."""
        pid = task.identity.pid if task.identity else 0
        announce(logger, "task_unkillable", task_id=task.key[0], processes=pid)
        self._say(
            Flagged(
                message_id=self._session.next_id(),
                task_id=task.key[0],
                offer=task.key[1],
                unkillable=True,
                detail=f"Processes of the task (script {pid}) survive KILL.",
            )
        )

    def _say(self, message: QueuedMessage) -> None:
        self._session.queue(message)
        self._flush()
