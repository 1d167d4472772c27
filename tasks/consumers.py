"""The live log of one task in a browser: frames from a byte offset, as fast as it reads.

A hint only says "there is more": the bytes are read from the files, off the event loop.
At most WINDOW_BYTES are under way to a viewer that has not acknowledged them, so one that
stops reading costs bounded memory and delays nobody (R27); it resumes by offset.
"""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar
from urllib.parse import parse_qs

from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import connections

from dialer_platform.accounts.permissions import can
from dialer_platform.console import live
from tasks.api.log_answers import is_complete
from tasks.events import log_topic, task_topic
from tasks.logs.files import reader
from tasks.logs.reading import FrameSlice
from tasks.models import Task

T = TypeVar("T")

WINDOW_BYTES = 1024 * 1024
CHUNK_BYTES = 256 * 1024
LOOK_SECONDS = 5.0
"""Without any hint the files are looked at this often: hints may be lost."""
MAX_TEXT_CHARACTERS = 200
BAD_REQUEST_CLOSE_CODE = 4400
NOT_FOUND_CLOSE_CODE = 4404

_START = struct.Struct("!Q")
_readers = ThreadPoolExecutor(4, thread_name_prefix="log-reader")


class LogConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """One viewer of one log."""

    channel_layer_alias = None

    async def connect(self) -> None:
        """Accept whoever may see the task and start sending from the asked offset."""
        self.loop = asyncio.get_running_loop()
        self.task_id = int(self.scope["url_route"]["kwargs"]["task_id"])
        self.offset = self.acknowledged = asked_offset(self.scope.get("query_string", b""))
        self.wake = asyncio.Event()
        self.is_stale = True  # It may have changed before the hints were subscribed to.
        self.unsubscribe: list[Callable[[], None]] = []
        self.pump: asyncio.Task[None] | None = None
        principal = self.scope["principal"]
        task = await self._read(_visible_task, principal, self.task_id)
        if task is None:
            await self.close(NOT_FOUND_CLOSE_CODE)
            return
        self.task = task
        for topic in (log_topic(self.task_id), task_topic(self.task_id)):
            tenant_id = principal.tenant_id
            self.unsubscribe.append(live.subscribe(topic, self._note, tenant_id=tenant_id))
        await self.accept()
        self.pump = self.loop.create_task(self._send_log())

    async def disconnect(self, code: int) -> None:
        """Stop sending."""
        for unsubscribe in self.unsubscribe:
            unsubscribe()
        if self.pump:
            self.pump.cancel()
            with suppress(asyncio.CancelledError):
                await self.pump

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take an acknowledgement: more may be sent."""
        offset = acknowledged_offset(text_data)
        if offset is None or offset > self.offset:
            await self.close(BAD_REQUEST_CLOSE_CODE)
            return
        self.acknowledged = max(self.acknowledged, offset)
        self.wake.set()

    async def _send_log(self) -> None:
        """Send what is stored, then what comes, until the log is complete."""
        told: tuple[int, bool] | None = None
        while True:
            self.wake.clear()
            piece = await self._send_piece()
            if self.is_stale and not self.task.is_final:
                self.is_stale = False
                self.task = await self._read(_reload, self.task)
            state = (piece.size, is_complete(self.task, piece.size))
            if state != told:
                told = state
                await self.send(json.dumps({"size": state[0], "complete": state[1]}))
            if piece.next >= piece.size or self._room() <= 0:
                try:
                    await asyncio.wait_for(self.wake.wait(), LOOK_SECONDS)
                except TimeoutError:
                    self.is_stale = True

    async def _send_piece(self) -> FrameSlice:
        """Send the next frames that fit the window and return them."""
        limit = min(CHUNK_BYTES, self._room())
        log = reader(self.task_id)
        piece = await self._read(log.read_frames, self.offset, max(limit, 0))
        if piece.data:
            self.offset = piece.next
            await self.send(bytes_data=_START.pack(piece.offset) + piece.data)
        return piece

    def _room(self) -> int:
        """Return how many more bytes may be under way."""
        return WINDOW_BYTES - (self.offset - self.acknowledged)

    def _note(self, topic: str, version: int) -> None:
        """Take a hint from any thread; a closed loop has no viewer any more."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._wake, topic)

    def _wake(self, topic: str) -> None:
        """Look at the files; at the task's row only when it changed, not at every line."""
        self.is_stale |= topic == task_topic(self.task_id)
        self.wake.set()

    async def _read(self, function: Callable[..., T], *args: Any) -> T:
        """Read files or rows in a thread, never on the loop."""
        return await self.loop.run_in_executor(_readers, _closing, function, *args)


def asked_offset(query_string: bytes) -> int:
    """Return the offset a viewer starts from, 0 when it names none."""
    text = parse_qs(query_string.decode("latin-1")).get("offset", ["0"])[-1]
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0


def acknowledged_offset(text: str | None) -> int | None:
    """Return the offset of an acknowledgement, None when the frame is not one."""
    if text is None or len(text) > MAX_TEXT_CHARACTERS:
        return None
    try:
        message: Any = json.loads(text)
    except ValueError:
        return None
    offset = message.get("ack") if isinstance(message, dict) else None
    return offset if type(offset) is int and offset >= 0 else None


def _closing(function: Callable[..., T], *args: Any) -> T:
    """Call it and close this thread's database connections, if it opened any."""
    try:
        return function(*args)
    finally:
        connections.close_all()


_STATE_ONLY = Task.objects.only("id", "tenant_id", "status", "phase", "log_bytes")


def _visible_task(principal: Any, task_id: int) -> Task | None:
    """Return the task if the viewer may see it, without its script."""
    if not can(principal, "task.view"):
        return None
    return _STATE_ONLY.visible_to(principal).filter(pk=task_id).first()


def _reload(task: Task) -> Task:
    """Return the task as it is stored now."""
    return _STATE_ONLY.filter(pk=task.pk).first() or task
