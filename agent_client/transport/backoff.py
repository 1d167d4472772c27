"""How long to wait, and where to try next, after the way to the server failed.

Pure: the caller sleeps, and randomness is an argument. Waits grow from the initial to
the longest window and are jittered, so that a fleet does not come back in one wave. After
a number of failures at one address the other one gets its turn. A refused credential
takes the slow lane: a person has to act, but the agent never gives up by itself.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_client.config import AgentConfig

SLOW_LANE_SECONDS = 60.0
"""The pause after a refused credential."""


def windows(*, initial_seconds: float, max_seconds: float, rng: random.Random) -> Iterator[float]:
    """Yield pauses without end: each between half its window and all of it, doubling."""
    window = initial_seconds
    while True:
        yield rng.uniform(window / 2, window)
        window = min(window * 2, max_seconds)


class Backoff:
    """The address to try now, and the pause before the next try."""

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        initial_seconds: float,
        max_seconds: float,
        tries_per_address: int,
        rng: random.Random | None = None,
    ) -> None:
        """Start at the first address; addresses must not be empty."""
        self._addresses = tuple(addresses)
        self._initial_seconds = initial_seconds
        self._max_seconds = max_seconds
        self._tries_per_address = max(1, tries_per_address)
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, guards nothing
        self._index = 0
        self.failures = 0
        """Failures since the last success."""
        self._pauses = self._fresh()

    @property
    def address(self) -> str:
        """Return the address to try now."""
        return self._addresses[self._index]

    def failed(self, *, at_least_seconds: float = 0.0) -> float:
        """Count a failure and return the pause in seconds; the server may ask for longer."""
        self.failures += 1
        if self.failures % self._tries_per_address == 0:
            self._index = (self._index + 1) % len(self._addresses)
        return max(next(self._pauses), at_least_seconds)

    def refused(self) -> float:
        """Count a refused credential and return the pause of the slow lane in seconds."""
        self.failures += 1
        return SLOW_LANE_SECONDS + self._rng.uniform(0, SLOW_LANE_SECONDS / 10)

    def succeeded(self) -> None:
        """Begin again with short pauses; called at the first acknowledged message.

        A connection that opens and closes at once is no success: it would be tried
        without a pause for ever.
        """
        self.failures = 0
        self._pauses = self._fresh()

    def _fresh(self) -> Iterator[float]:
        return windows(
            initial_seconds=self._initial_seconds, max_seconds=self._max_seconds, rng=self._rng
        )


def make_backoff(config: AgentConfig) -> Backoff:
    """Return the pauses and addresses that the configuration sets."""
    connection = config.connection
    return Backoff(
        connection.servers,
        initial_seconds=connection.ws_backoff_initial_ms / 1000,
        max_seconds=connection.ws_backoff_max_ms / 1000,
        tries_per_address=connection.ws_max_retries,
    )
