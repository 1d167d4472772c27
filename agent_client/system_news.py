"""Tells the server when the host has changed since the connection was made.

The hello carries all facts at every connection; between two of them a host that is never
cut off would show last month's disks. Every few minutes the facts are collected anew, in a
thread because a disk may be slow, and sent when they differ. Load, uptime and free memory
always differ and are in every heartbeat or follow from the boot, so they do not count; of
a mount's use whole percents do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent_client.protocol.messages import SystemNews
from agent_client.protocol.session import Session
from agent_client.resource_util import ResourceUtil
from agent_client.system_info import collect_system_info

REFRESH_SECONDS = 300.0
_MOVING = frozenset({"load", "uptime_seconds", "boot_time"})


class Flushing(Protocol):
    """The part of the link that news need."""

    def flush(self) -> None:
        """Send what the session lets go."""


class SystemReporter:
    """Collects the host's facts from time to time and queues them when they changed."""

    def __init__(
        self,
        resources: ResourceUtil,
        *,
        session: Session,
        link: Flushing,
        collect: Callable[[ResourceUtil], dict[str, Any]] = collect_system_info,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is collected before `run` or `facts`."""
        self._resources = resources
        self._session = session
        self._link = link
        self._collect = collect
        self._refresh_seconds = refresh_seconds
        self._told: dict[str, Any] = {}
        self._clock = clock
        self.looked_at: float | None = None
        """When the facts were last collected, on the clock's scale."""

    def facts(self) -> dict[str, Any]:
        """Return the facts of this moment for a hello; they count as told."""
        found = self._collect(self._resources)
        self.looked_at = self._clock()
        self._told = lasting(found)
        return found

    async def run(self) -> None:
        """Look again and again until canceled."""
        while True:
            await asyncio.sleep(self._refresh_seconds)
            await self.look()

    async def look(self) -> bool:
        """Collect once and queue what changed; return whether anything did."""
        found = await asyncio.to_thread(self._collect, self._resources)
        self.looked_at = self._clock()
        if lasting(found) == self._told:
            return False
        self._told = lasting(found)
        self._session.queue(SystemNews(message_id=self._session.next_id(), system=found))
        self._link.flush()
        return True


def lasting(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts when facts are compared: without figures that always move."""
    kept = {name: value for name, value in facts.items() if name not in _MOVING}
    memory = dict(kept.get("memory") or {})
    memory.pop("available_bytes", None)
    kept["memory"] = memory
    kept["mounts"] = [
        {**row, "used_bytes": 0, "usage": int(row.get("usage") or 0)}
        for row in kept.get("mounts") or ()
    ]
    return kept
