"""How often an address may fail to show who it is: a few times a minute, then it waits.

Counted before the token is looked at, so that parallel tries get no more looks, and taken
back when it was right: a rack of new hosts behind one address registers at once. Kept in
this process; an address that is forgotten for want of room only starts anew.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dialer_platform.accounts.address import origin_of
from dialer_platform.errors import Invalid, TooMany, Unauthenticated

LIMIT = 20
WINDOW_SECONDS = 60.0
MAX_ORIGINS = 4_096
SENTENCE = "Too many failed registrations from this address; try again in a minute."


class RegistrationLimit:
    """The failures of the last window by origin; used on the event loop only."""

    def __init__(
        self, sentence: str = SENTENCE, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start with none; the sentence is what a refused address reads."""
        self._sentence = sentence
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    @contextmanager
    def attempt(self, address: str) -> Iterator[None]:
        """Count the attempt unless it succeeds; raises TooMany when there were too many."""
        origin = origin_of(address)
        began, count = self._window(origin)
        if count >= LIMIT:
            raise TooMany(self._sentence)
        self._keep(origin, began, count + 1)
        try:
            yield
        except (Invalid, Unauthenticated):
            raise
        except BaseException:
            self._forgive(origin)  # the server's fault, or the client left
            raise
        else:
            self._forgive(origin)

    def _window(self, origin: str) -> tuple[float, int]:
        """Return when the origin's window began and its failures since."""
        now = self._clock()
        began, count = self._failures.get(origin, (now, 0))
        return (now, 0) if now - began > WINDOW_SECONDS else (began, count)

    def _forgive(self, origin: str) -> None:
        """Take one attempt back."""
        began, count = self._window(origin)
        self._keep(origin, began, max(count - 1, 0))

    def _keep(self, origin: str, began: float, count: int) -> None:
        """Remember an origin, dropping the one that was quiet longest when there are too many."""
        self._failures[origin] = (began, count)
        self._failures.move_to_end(origin)
        if len(self._failures) > MAX_ORIGINS:
            self._failures.popitem(last=False)


limit = RegistrationLimit()
