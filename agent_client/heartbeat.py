"""The sign of life: what it says, how often it goes, and what its silence means.

The server sets the interval; while tasks run a beat goes every second. The list of what
the host holds rides along when it has changed since the last beat that was confirmed, and
every 30 s; else its digest does. When nobody confirms a beat for long, the connection is
dead however open it looks. Runs on the loop's thread and never waits for a sample.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from agent_client.adaptive import Limits
from agent_client.protocol.digest import holds_digest
from agent_client.protocol.messages import (
    Heartbeat,
    Hold,
    PluginState,
    ProbePool,
    Resources,
    ThreadPool,
)
from agent_client.sampler import HostSample

BUSY_INTERVAL_SECONDS = 1.0
HOLDS_SECONDS = 30.0
MIN_SILENCE_SECONDS = 10.0
SILENT_BEATS = 3
_MAX_UNCONFIRMED = 64


class Connection(Protocol):
    """The part of the link that a heart needs."""

    @property
    def is_ready(self) -> bool:
        """Return whether a beat can be sent."""

    def send_beat(self, beat: Heartbeat) -> None:
        """Send a beat."""

    def drop(self, reason: str) -> None:
        """End the present connection."""


class Heart:
    """Makes heartbeats and sends them in the server's pace."""

    def __init__(
        self,
        *,
        agent_id: str,
        instance_id: str,
        interval_seconds: float,
        holds: Callable[[], tuple[Hold, ...]],
        is_busy: Callable[[], bool],
        sample: Callable[[], HostSample],
        next_id: Callable[[], str],
        limits: Callable[[], Limits | None] = lambda: None,
        pools: Callable[[], tuple[ThreadPool, ProbePool | None]] = lambda: (ThreadPool(), None),
        plugins: Callable[[], tuple[PluginState, ...]] = lambda: (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """holds, is_busy, sample, limits, pools and plugins are asked at every beat."""
        self._agent_id = agent_id
        self._instance_id = instance_id
        self.interval_seconds = interval_seconds
        self._holds = holds
        self._is_busy = is_busy
        self._sample = sample
        self._limits = limits
        self._pools = pools
        self._plugins = plugins
        self._next_id = next_id
        self._clock = clock
        self._unconfirmed: OrderedDict[str, str] = OrderedDict()
        self._told_digest: str | None = None
        self._told_at = clock()
        self._heard_at = clock()
        self._now = asyncio.Event()

    def build(self) -> Heartbeat:
        """Return the beat of this moment."""
        now = self._clock()
        holds = self._holds()
        digest = holds_digest(holds)
        is_full = digest != self._told_digest or now - self._told_at >= HOLDS_SECONDS
        sample = self._sample()
        message_id = self._next_id()
        thread_pool, probe_pool = self._pools()
        if is_full:
            self._told_at = now
            self._unconfirmed[message_id] = digest
            while len(self._unconfirmed) > _MAX_UNCONFIRMED:
                self._unconfirmed.popitem(last=False)
        return Heartbeat(
            message_id=message_id,
            agent_id=self._agent_id,
            instance_id=self._instance_id,
            thread_pool=thread_pool,
            probe_pool=probe_pool,
            resources=self._with_limits(sample.resources),
            gpus=sample.gpus,
            sub_agents=sample.sub_agents,
            holds=holds if is_full else None,
            holds_digest=digest,
            plugins=self._plugins(),
        )

    def _with_limits(self, resources: Resources | None) -> Resources | None:
        """Return the sample with what the host allows itself, when that is less than usual."""
        limits = self._limits()
        if resources is None or limits is None:
            return resources
        return msgspec.structs.replace(
            resources,
            adaptive_factor=limits.factor,
            adaptive_cause=limits.cause,
            slots_allowed=limits.slots,
            bandwidth_limit_mb=limits.bandwidth_mb,
        )

    def confirmed(self, message_ids: Iterable[str]) -> None:
        """Note which beats arrived, and that the way to the server works."""
        self._heard_at = self._clock()
        for message_id in message_ids:
            digest = self._unconfirmed.pop(message_id, None)
            if digest is not None:
                self._told_digest = digest

    def connected(self) -> None:
        """Send a beat soon; the silence is counted from now."""
        self._heard_at = self._clock()
        self._now.set()

    def disconnected(self) -> None:
        """Tell the next connection everything."""
        self._unconfirmed.clear()
        self._told_digest = None

    @property
    def heard_at(self) -> float:
        """Return when the server last answered a beat, on the clock's scale."""
        return self._heard_at

    def set_interval(self, seconds: float | None) -> None:
        """Take the server's pace; None keeps the present one."""
        if seconds:
            self.interval_seconds = seconds

    async def run(self, connection: Connection) -> None:
        """Beat until canceled."""
        while True:
            self._now.clear()
            if connection.is_ready:
                self._check_silence(connection)
                connection.send_beat(self.build())
            busy, pace = self._is_busy(), self.interval_seconds
            await self._pause(min(pace, BUSY_INTERVAL_SECONDS) if busy else pace)

    async def _pause(self, seconds: float) -> None:
        """Wait for the next beat; a new connection is told at once."""
        try:
            async with asyncio.timeout(seconds):
                await self._now.wait()
        except TimeoutError:
            return

    def _check_silence(self, connection: Connection) -> None:
        limit_seconds = max(MIN_SILENCE_SECONDS, SILENT_BEATS * self.interval_seconds)
        if self._clock() - self._heard_at > limit_seconds:
            self._heard_at = self._clock()
            connection.drop(f"no beat was answered for {limit_seconds:.0f} s")
