"""What one agent is told: collected by handlers, the same for both transports.

A Reply is filled inside the transaction and leaves only after its commit; a rolled back
attempt throws its Reply away. Not thread-safe: one thread fills it, then hands it on.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

from agent_client.protocol.messages import (
    Ack,
    Answer,
    BandwidthOrder,
    CancelOrder,
    CancelTasksBatch,
    Desired,
    Go,
    LogNext,
    Reconcile,
    Rejected,
    Revoked,
    ServerMessage,
    TaskRef,
    TasksBatch,
    TaskSpec,
    WantedRelease,
)

_numbers = itertools.count(1)


def next_message_id() -> str:
    """Return an id for a message of this server process."""
    return f"s{next(_numbers)}"


class Reply:
    """Collects what one agent is told; every method may be called any number of times."""

    def __init__(self) -> None:
        """Start with nothing to say."""
        self.acks: list[str] = []
        self.log_offsets: list[LogNext] = []
        self.tasks: list[TaskSpec] = []
        self.started: list[TaskRef] = []
        self.revoked: list[TaskRef] = []
        self.cancels: list[CancelOrder] = []
        self.desired: list[Desired] = []
        self.bandwidths: list[BandwidthOrder] = []
        self.errors: list[Rejected] = []
        self.epoch = 0

    def ack(self, message_id: str) -> None:
        """Confirm that the message is stored; handlers rarely need it, see inbox.register."""
        if message_id:
            self.acks.append(message_id)

    def go(self, task_id: int, offer: int) -> None:
        """Allow the accepted offer to start."""
        self.started.append(TaskRef(task_id=task_id, offer=offer))

    def revoke(self, task_id: int, offer: int) -> None:
        """Void the offer: the agent frees its booking and starts nothing."""
        self.revoked.append(TaskRef(task_id=task_id, offer=offer))

    def offer(self, spec: TaskSpec) -> None:
        """Offer a task."""
        self.tasks.append(spec)

    def cancel(self, order: CancelOrder) -> None:
        """Order a running task to stop."""
        self.cancels.append(order)

    def want(self, desired: Desired) -> None:
        """Say what the server wants for a task that the agent holds."""
        self.desired.append(desired)

    def limit_bandwidth(self, order: BandwidthOrder) -> None:
        """Say how fast a transfer that the agent holds may be."""
        self.bandwidths.append(order)

    def log_next(self, task_id: int, offer: int, next_offset: int) -> None:
        """Say up to which payload offset the task's log is stored."""
        self.log_offsets.append(LogNext(task_id=task_id, offer=offer, next=next_offset))

    def error(self, message_id: str, code: str, detail: str) -> None:
        """Refuse one message; after `slow_down` and `unavailable` it is to be repeated later."""
        self.errors.append(Rejected(message_id=message_id, code=code, detail=detail))

    def refuses(self, message_id: str) -> bool:
        """Return whether error() was called for the message."""
        return any(entry.message_id == message_id for entry in self.errors)

    def absorb(self, other: Reply) -> None:
        """Append everything that another reply says."""
        self.acks += other.acks
        self.log_offsets += other.log_offsets
        self.tasks += other.tasks
        self.started += other.started
        self.revoked += other.revoked
        self.cancels += other.cancels
        self.desired += other.desired
        self.bandwidths += other.bandwidths
        self.errors += other.errors
        self.epoch = other.epoch or self.epoch

    def to_answer(
        self,
        *,
        epoch: int,
        heartbeat_interval: float,
        installation: str,
        probes_revision: int = 0,
        plugins_revision: int = 0,
        release: WantedRelease | None = None,
    ) -> Answer:
        """Return the body of an HTTP heartbeat's answer."""
        return Answer(
            acks=tuple(self.acks),
            log_next=tuple(self.log_offsets),
            tasks=tuple(self.tasks),
            go=tuple(self.started),
            revoked=tuple(self.revoked),
            cancel_tasks=tuple(self.cancels),
            desired=tuple(self.desired),
            bandwidths=tuple(self.bandwidths),
            errors=tuple(self.errors),
            heartbeat_interval=heartbeat_interval,
            epoch=self.epoch or epoch,
            installation=installation,
            server_time=time.time(),
            probes_revision=probes_revision,
            plugins_revision=plugins_revision,
            release=release,
        )

    def to_messages(self) -> list[ServerMessage]:
        """Return the same as messages of the WebSocket, go first: a script waits for it."""
        messages: list[ServerMessage] = []
        self._add(messages, self.started, lambda name: Go(message_id=name, tasks=(*self.started,)))
        self._add(messages, [*self.acks, *self.log_offsets], self._to_ack)
        self._add(
            messages, self.revoked, lambda name: Revoked(message_id=name, tasks=(*self.revoked,))
        )
        self._add(
            messages,
            self.cancels,
            lambda name: CancelTasksBatch(message_id=name, tasks=(*self.cancels,)),
        )
        self._add(
            messages, self.tasks, lambda name: TasksBatch(message_id=name, tasks=(*self.tasks,))
        )
        self._add(
            messages,
            [*self.desired, *self.bandwidths],
            lambda name: Reconcile(
                message_id=name, desired=(*self.desired,), bandwidths=(*self.bandwidths,)
            ),
        )
        messages += self.errors
        return messages

    def _to_ack(self, name: str) -> Ack:
        """Return the ack; its message_id echoes the first confirmed message."""
        return Ack(
            message_id=self.acks[0] if self.acks else name,
            message_ids=tuple(self.acks),
            log_next=tuple(self.log_offsets),
        )

    @staticmethod
    def _add(
        messages: list[ServerMessage],
        content: Sequence[object],
        make: Callable[[str], ServerMessage],
    ) -> None:
        """Append make()'s message when there is content for it."""
        if content:
            messages.append(make(next_message_id()))
