"""What is on its way to the server and not yet confirmed, without sockets or clocks.

The session numbers messages, keeps the unconfirmed ones, bounds how many may be in the
air, and gives them out again after a reconnect in their first order. It holds at most one
message of each kind per task and offer, so its size follows the tasks the host holds and
nothing has to be dropped. It lives in memory only, on purpose: every state message can be
made again from the task directories (`spec.json`, `run.json`, `exit.json`), and a second
copy on disk would be a second truth. Log chunks do not pass here: they have offsets.

Messages from the server are not filtered by their id: every handler is idempotent by
(task, offer), which also holds across reconnects and restarts of either side.

A message may be lost although the connection lives, and would then keep its place in the
window for ever: who holds the clock asks from time to time for what stays unheard.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from agent_client.protocol import codec
from agent_client.protocol.messages import MAX_MESSAGES_PER_FRAME, QueuedMessage

MAX_WINDOW_MESSAGES = MAX_MESSAGES_PER_FRAME - 1
"""One less than a frame may hold: a heartbeat rides along."""
MAX_WINDOW_BYTES = 512 * 1024
"""Half of what the server takes in one frame."""


class _Entry(NamedTuple):
    """One message with its size on the wire and what it is about."""

    message: QueuedMessage
    size_bytes: int
    subject: tuple[str, int, int]


class Session:
    """Messages that wait and messages in the air; used from the loop's thread only."""

    def __init__(
        self,
        *,
        prefix: str,
        max_messages: int = MAX_WINDOW_MESSAGES,
        max_bytes: int = MAX_WINDOW_BYTES,
    ) -> None:
        """Make ids `<prefix>-<number>`; the prefix must differ between runs of the agent."""
        self._prefix = prefix
        self._number = 0
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: OrderedDict[str, _Entry] = OrderedDict()
        self._in_air: OrderedDict[str, _Entry] = OrderedDict()
        self._in_air_bytes = 0
        self._subjects: set[tuple[str, int, int]] = set()
        self._long_in_air: tuple[str, ...] = ()
        self.repeated = 0
        """Messages that were sent again: after a reconnect, on request, or as unheard."""

    def next_id(self) -> str:
        """Return a message id that this agent has not used before."""
        self._number += 1
        return f"{self._prefix}-{self._number}"

    @property
    def waiting(self) -> int:
        """Return how many messages wait to be sent."""
        return len(self._waiting)

    @property
    def unconfirmed(self) -> int:
        """Return how many messages were sent and not confirmed."""
        return len(self._in_air)

    def queue(self, message: QueuedMessage) -> None:
        """Put a message behind the others, unless the same fact is already on its way."""
        subject = _subject(message)
        if subject not in self._subjects:
            self._subjects.add(subject)
            entry = _Entry(message, len(codec.encode(message)), subject)
            self._waiting[message.message_id] = entry

    def take(self) -> list[QueuedMessage]:
        """Return the messages that the window lets go now; they count as in the air."""
        taken: list[QueuedMessage] = []
        while self._waiting and len(self._in_air) < self._max_messages:
            message_id, entry = next(iter(self._waiting.items()))
            if self._in_air and self._in_air_bytes + entry.size_bytes > self._max_bytes:
                break
            del self._waiting[message_id]
            self._in_air[message_id] = entry
            self._in_air_bytes += entry.size_bytes
            taken.append(entry.message)
        return taken

    def confirm(self, message_ids: Iterable[str]) -> list[QueuedMessage]:
        """Forget the messages the server has stored and return them; unknown ids are ignored."""
        confirmed: list[QueuedMessage] = []
        for message_id in message_ids:
            entry = self._in_air.pop(message_id, None)
            if entry is not None:
                self._in_air_bytes -= entry.size_bytes
                self._subjects.discard(entry.subject)
                confirmed.append(entry.message)
        return confirmed

    def retry(self, message_id: str) -> None:
        """Put one message back in front: the server asked to repeat it later."""
        entry = self._in_air.pop(message_id, None)
        if entry is not None:
            self._in_air_bytes -= entry.size_bytes
            self._waiting[message_id] = entry
            self._waiting.move_to_end(message_id, last=False)
            self.repeated += 1

    def repeat_unheard(self) -> bool:
        """Put back what has been in the air since the call before; returns whether there was any.

        For a connection on which the server answers other things meanwhile.
        """
        unheard = [message_id for message_id in self._long_in_air if message_id in self._in_air]
        for message_id in reversed(unheard):  # each goes in front: the first must be the last
            self.retry(message_id)
        self._long_in_air = tuple(self._in_air)
        return bool(unheard)

    def disconnected(self) -> None:
        """Put everything in the air back in front: nobody knows what arrived."""
        self.repeated += len(self._in_air)
        self._waiting = OrderedDict((*self._in_air.items(), *self._waiting.items()))
        self._in_air.clear()
        self._in_air_bytes = 0
        self._long_in_air = ()

    def drop_task(self, task_id: int, offer: int) -> None:
        """Forget all messages about one offer; the server has revoked or forgotten it."""
        for message_id, entry in list(self._waiting.items()):
            if entry.subject[1:] == (task_id, offer):
                del self._waiting[message_id]
                self._subjects.discard(entry.subject)
        self.confirm(
            message_id
            for message_id, entry in list(self._in_air.items())
            if entry.subject[1:] == (task_id, offer)
        )


def _subject(message: QueuedMessage) -> tuple[str, int, int]:
    """Return what a message is about: its kind and the offer of the task."""
    kind = type(message).__name__
    return kind, getattr(message, "task_id", 0), getattr(message, "offer", 0)
