"""The browser's one socket for live hints: subscribe to topics, get {topic, version}.

The route checks session and origin, and the session again every few seconds; topics reach
only sockets of their tenant. A slow browser costs at most one waiting version per topic.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from channels.generic.websocket import AsyncWebsocketConsumer

from dialer_platform.console import live

MAX_TOPICS = 64
MAX_FRAME_CHARACTERS = 8_192
BAD_REQUEST_CLOSE_CODE = 4400
TOPIC = re.compile(r"[a-z]{1,16}(\.[A-Za-z0-9/_-]{1,80})?")


class LiveConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]
    """One page's socket; the topics it names replace the earlier ones."""

    async def connect(self) -> None:
        """Accept and start the sender."""
        self.loop = asyncio.get_running_loop()
        self.waiting: dict[str, int] = {}
        self.wake = asyncio.Event()
        self.subscriptions: dict[str, Callable[[], None]] = {}
        await self.accept()
        self.sender = self.loop.create_task(self._send_waiting())

    async def disconnect(self, code: int) -> None:
        """End the subscriptions and the sender."""
        for unsubscribe in getattr(self, "subscriptions", {}).values():
            unsubscribe()
        if hasattr(self, "sender"):
            self.sender.cancel()
            with suppress(asyncio.CancelledError):
                await self.sender

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Take the list of topics the page shows."""
        topics = wanted_topics(text_data)
        if topics is None:
            await self.close(BAD_REQUEST_CLOSE_CODE)
            return
        tenant_id = self.scope["principal"].tenant_id
        for topic in self.subscriptions.keys() - topics:
            self.subscriptions.pop(topic)()
        for topic in topics - self.subscriptions.keys():
            self.subscriptions[topic] = live.subscribe(topic, self._note, tenant_id=tenant_id)
        await self.send(json.dumps({"subscribed": sorted(topics)}))

    def _note(self, topic: str, version: int) -> None:
        """Take a hint from any thread; a loop that is closed has no browser any more."""
        with suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._wait_to_send, topic, version)

    def _wait_to_send(self, topic: str, version: int) -> None:
        """Remember the newest version of the topic and wake the sender."""
        self.waiting[topic] = version
        self.wake.set()

    async def _send_waiting(self) -> None:
        """Send hints as they come."""
        while True:
            await self.wake.wait()
            self.wake.clear()
            while self.waiting:
                topic, version = self.waiting.popitem()
                await self.send(json.dumps({"topic": topic, "version": version}))


def wanted_topics(text: str | None) -> set[str] | None:
    """Return the topics a frame asks for, None when it is not a valid request."""
    if text is None or len(text) > MAX_FRAME_CHARACTERS:
        return None
    try:
        wanted: Any = json.loads(text)
    except (ValueError, RecursionError):  # 8 KiB of brackets exhaust the parser's stack
        return None
    topics = wanted.get("subscribe") if isinstance(wanted, dict) else None
    if not isinstance(topics, list) or len(topics) > MAX_TOPICS:
        return None
    if not all(isinstance(topic, str) and TOPIC.fullmatch(topic) for topic in topics):
        return None
    return set(topics)
