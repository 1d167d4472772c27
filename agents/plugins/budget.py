"""How much one host may bring: values in a time, and one request at a time. Pure but its clock.

A value is a number or a line. The bound is far above what any host measures; it is there so
that one that is broken or hostile takes neither the server's processors nor its memory from
the others. Used on the event loop only.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dialer_platform.errors import TooMany

VALUES_PER_SECOND = 3_000.0
MAX_SAVED_VALUES = 100_000.0
"""So much at once: an agent brings hours of samples after an outage."""
BYTES_PER_VALUE = 200
"""Reading costs also where it turns out to be nothing."""
MAX_HOSTS = 20_000


@dataclass(slots=True)
class _Account:
    """What a host may still bring; below zero it waits until that is paid back."""

    saved: float
    at: float
    is_busy: bool = False


class Turn:
    """One request of a host, while it is worked on."""

    def __init__(self, account: _Account) -> None:
        """Charge this account."""
        self._account = account

    def charge(self, *, values: int = 0, size_bytes: int = 0) -> None:
        """Take off what the request cost; it may end below zero."""
        self._account.saved -= values + size_bytes / BYTES_PER_VALUE


class Budgets:
    """The accounts of all hosts that brought something lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with full accounts; the clock counts seconds."""
        self._clock = clock
        self._accounts: OrderedDict[str, _Account] = OrderedDict()

    @contextmanager
    def turn(self, agent_id: str) -> Iterator[Turn]:
        """Let a host have its turn; raises TooMany while it has one or has brought too much."""
        account = self._account(agent_id)
        if account.is_busy:
            # Parallel requests would all pass before the first of them is charged.
            raise TooMany("One request at a time.", code="slow_down")
        if account.saved <= 0:
            raise TooMany("The host brings too many values; come again later.", code="slow_down")
        account.is_busy = True
        try:
            yield Turn(account)
        finally:
            account.is_busy = False

    def clear(self) -> None:
        """Forget all accounts; for tests."""
        self._accounts.clear()

    def _account(self, agent_id: str) -> _Account:
        """Return a host's account as it is now."""
        now = self._clock()
        account = self._accounts.setdefault(agent_id, _Account(MAX_SAVED_VALUES, now))
        self._accounts.move_to_end(agent_id)
        earned = (now - account.at) * VALUES_PER_SECOND
        account.saved, account.at = min(MAX_SAVED_VALUES, account.saved + earned), now
        if len(self._accounts) > MAX_HOSTS:
            self._accounts.popitem(last=False)  # it only starts anew
        return account
