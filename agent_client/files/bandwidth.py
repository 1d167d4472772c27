"""How fast a transfer may be: a token bucket, and the share of the host's limit.

The bucket is pure: bytes and moments in, seconds to wait out. The host's limit is what the
agent writes into its limits file; it is looked at about once a second, so a limit that is
changed holds for transfers that run. All transfers of a host divide it evenly.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

import msgspec

from agent_client.protocol.transfers import Bandwidth

T = TypeVar("T")

MB = 1_000_000
"""Bytes in a megabyte, as network rates count them."""
BURST_SECONDS = 0.25
LOOK_SECONDS = 1.0
MIN_CHUNK_BYTES = 16 * 1024
CHUNK_SECONDS = 0.5
"""A chunk should not take longer at the limit, or the line would look dead."""


class TokenBucket:
    """Lets bytes through at a rate; what was not used is kept for a quarter of a second."""

    def __init__(self, rate: float | None, *, now: float) -> None:
        """Begin empty, so that a short transfer holds the limit too; rate in bytes/s."""
        self._rate = rate
        self._tokens = 0.0
        self._at = now

    @property
    def rate(self) -> float | None:
        """Return the rate in bytes/s, None for no limit."""
        return self._rate

    def change(self, rate: float | None, *, now: float) -> None:
        """Go on at another rate."""
        self._fill(now)
        self._rate = rate
        self._tokens = min(self._tokens, 0.0 if rate is None else rate * BURST_SECONDS)

    def take(self, size: int, *, now: float) -> float:
        """Take so many bytes and return the seconds to wait before they may move.

        Debt is allowed, so that a piece may be larger than the bucket.
        """
        if self._rate is None:
            return 0.0
        self._fill(now)
        self._tokens -= size
        return max(0.0, -self._tokens / self._rate)

    def _fill(self, now: float) -> None:
        if self._rate is not None:
            gained = (now - self._at) * self._rate
            self._tokens = min(self._tokens + gained, self._rate * BURST_SECONDS)
        self._at = now


class _Limits(msgspec.Struct):
    """What concerns a transfer in the agent's limits file."""

    bandwidth_mb: float | None = None
    transfers: int = 1


class _OwnLimit(msgspec.Struct):
    """What the file of the transfer's own limit says."""

    bandwidth_mb: Bandwidth


class Pace:
    """Holds one transfer to the lower of its own limit and its share of the host's."""

    def __init__(
        self,
        own_mb: float,
        *,
        limits: int | None,
        own_limit: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """own_mb in MB/s, 0 for none, until the file behind own_limit says another figure.

        limits is a descriptor of the agent's limits file.
        """
        self._own_mb = own_mb
        self._limits = limits
        self._own_limit = own_limit
        self._clock = clock
        self._sleep = sleep
        self._known = _Limits()
        self._looked_at = clock()
        self._bucket = TokenBucket(self._rate(), now=self._looked_at)

    @property
    def chunk_bytes(self) -> int | None:
        """Return how large a piece should be at the present rate, None for any size."""
        rate = self._bucket.rate
        return None if rate is None else max(MIN_CHUNK_BYTES, int(rate * CHUNK_SECONDS))

    def wait(self, size: int) -> None:
        """Return when so many bytes may move."""
        now = self._clock()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self._bucket.change(self._rate(), now=now)
        pause = self._bucket.take(size, now=now)
        if pause:
            self._sleep(pause)

    def _rate(self) -> float | None:
        """Return the rate that holds now in bytes/s."""
        self._look()
        self._look_at_own()
        rates = [self._own_mb * MB] if self._own_mb > 0 else []
        if self._known.bandwidth_mb:
            rates.append(self._known.bandwidth_mb * MB / max(1, self._known.transfers))
        return min(rates, default=None)

    def _look(self) -> None:
        """Read the host's limits; a file that is just being written leaves the known ones."""
        self._known = _read(self._limits, _Limits) or self._known

    def _look_at_own(self) -> None:
        """Read the transfer's own limit, likewise."""
        found = _read(self._own_limit, _OwnLimit)
        if found is not None:
            self._own_mb = found.bandwidth_mb


def _read(descriptor: int | None, kind: type[T]) -> T | None:
    """Return what a small open file says, None when it cannot be read."""
    if descriptor is None:
        return None
    try:
        return msgspec.json.decode(os.pread(descriptor, 4096, 0).rstrip(b" \n\0"), type=kind)
    except (OSError, msgspec.MsgspecError):
        return None
