"""The doorbell between server processes: one channel layer group, small notes, may be lost.

Owns the group "servers". Without REDIS_URL there is one process and every call is free.
broadcast() works from any thread, never blocks and never raises; handlers run on the
event loop of the receiving processes, never in the sending one, and must not block.
A note that is lost (queue full, Redis down) is counted and healed by whoever reads the
database next.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable
from typing import Any

from channels.layers import get_channel_layer
from django.conf import settings

logger = logging.getLogger(__name__)

GROUP = "servers"
MAX_QUEUED_NOTES = 2_000
MAX_NOTES_PER_MESSAGE = 200
JOIN_AGAIN_SECONDS = 600.0
"""Group memberships expire on Redis; joining again is harmless."""
RETRY_SECONDS = 2.0

Payload = dict[str, str]
Handler = Callable[[Payload], None]

PROCESS_ID = uuid.uuid4().hex

_handlers: dict[str, Handler] = {}
_guard = threading.Lock()
_queue: deque[tuple[str, Payload]] = deque()
_dropped = 0
_running: _Running | None = None


class _Running:
    """The two tasks on the server's event loop: one sends, one receives."""

    def __init__(self) -> None:
        """Belong to the running loop."""
        self.loop = asyncio.get_running_loop()
        self.wake = asyncio.Event()
        self.tasks = [self.loop.create_task(_send()), self.loop.create_task(_receive())]

    def ring(self) -> None:
        """Wake the sender from any thread; a closed loop sends no more."""
        try:
            self.loop.call_soon_threadsafe(self.wake.set)
        except RuntimeError:
            logger.debug("the relay's loop is closed")

    def cancel(self) -> None:
        """End both tasks from any thread."""
        for task in self.tasks:
            try:
                self.loop.call_soon_threadsafe(task.cancel)
            except RuntimeError:
                return


def is_enabled() -> bool:
    """Return whether there may be other server processes to ring."""
    return bool(settings.REDIS_URL)


def on(kind: str, handler: Handler) -> None:
    """Call the handler for every note of this kind from another process."""
    _handlers[kind] = handler


def broadcast(kind: str, payload: Payload) -> None:
    """Send a note to all other server processes; when the queue is full the oldest goes."""
    global _dropped
    if not is_enabled():
        return
    with _guard:
        if len(_queue) >= MAX_QUEUED_NOTES:
            _queue.popleft()
            _dropped += 1
        _queue.append((kind, payload))
        running = _running
    if running:
        running.ring()


def count_dropped() -> int:
    """Return how many notes were dropped because the queue was full."""
    return _dropped


def start() -> None:
    """Join the group; called on the server's event loop."""
    global _running
    if is_enabled() and _running is None:
        _running = _Running()
        _running.ring()


def stop() -> None:
    """Leave the group; what is queued is dropped."""
    global _running
    running, _running = _running, None
    if running:
        running.cancel()


def receive(message: dict[str, Any]) -> None:
    """Hand the notes of one message to their handlers, unless this process sent it."""
    if message.get("from") == PROCESS_ID:
        return
    for kind, payload in message.get("notes", ()):
        handler = _handlers.get(kind)
        if handler is None:
            continue
        try:
            handler(payload)
        except Exception:  # One broken note must not silence the doorbell.
            logger.exception("a handler of the relay failed", extra={"data": {"kind": kind}})


def take_queued() -> list[tuple[str, Payload]]:
    """Return the next notes to send in one message."""
    with _guard:
        size = min(len(_queue), MAX_NOTES_PER_MESSAGE)
        return [_queue.popleft() for _ in range(size)]


async def _send() -> None:
    """Send what is queued whenever somebody rings."""
    running = _running
    layer = get_channel_layer()
    while running is not None:
        await running.wake.wait()
        running.wake.clear()
        while notes := take_queued():
            message = {"type": "servers.notes", "from": PROCESS_ID, "notes": notes}
            try:
                await layer.group_send(GROUP, message)
            except Exception:  # Redis may be down in many ways; the notes are only hints.
                logger.warning("the relay could not send", exc_info=True)
                await asyncio.sleep(RETRY_SECONDS)


async def _receive() -> None:
    """Take messages from the group for as long as the server runs."""
    layer = get_channel_layer()
    channel = await layer.new_channel()
    while True:
        try:
            await layer.group_add(GROUP, channel)
            async with asyncio.timeout(JOIN_AGAIN_SECONDS):
                while True:
                    receive(await layer.receive(channel))
        except TimeoutError:
            continue
        except Exception:  # As above: try again until Redis is back.
            logger.warning("the relay lost its connection", exc_info=True)
            await asyncio.sleep(RETRY_SECONDS)
