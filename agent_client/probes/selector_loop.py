"""The selector driver: thousands of socket probes at once on one thread.

One epoll, one heap of deadlines. A run that hangs costs a heap entry and a descriptor,
never a thread: with half of a network dark the others start on time. The loop never
blocks but in epoll; look-ups go to the resolver, and on_done must not block either.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from agent_client.probes.failures import crash, finding_of
from agent_client.probes.kind import Finding, Kind, Resolve, Run, Sleep, Steps, WaitSocket, Want
from agent_client.probes.resolver import Resolver

logger = logging.getLogger(__name__)

MAX_IN_FLIGHT = 4_000
STOP_SECONDS = 5.0
_EVENTS = {
    "read": select.EPOLLIN | select.EPOLLONESHOT,
    "write": select.EPOLLOUT | select.EPOLLONESHOT,
}
_SELECT_LIMIT = 1_024
"""select() knows no descriptor from here on."""
OnDone = Callable[[Finding], None]


class _Flight:
    """One run under way; wait counts what it has waited for, so an old timer finds out."""

    __slots__ = ("done", "fd", "on_done", "run", "sleeping", "steps", "wait")

    def __init__(self, steps: Steps, run: Run, on_done: OnDone) -> None:
        self.steps = steps
        self.run = run
        self.on_done = on_done
        self.fd = -1
        self.wait = 0
        self.sleeping = False
        self.done = False


class SelectorLoop:
    """Runs socket kinds. submit() is safe in any thread; everything else happens on the loop."""

    def __init__(
        self,
        resolver: Resolver,
        max_in_flight: int = MAX_IN_FLIGHT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take at most max_in_flight runs; clock is the one that deadlines are on."""
        self._resolver = resolver
        self._max = max_in_flight
        self._clock = clock
        self._lock = threading.Lock()
        self._inbox: deque[Callable[[], None]] = deque()
        self._in_flight = 0
        self._by_fd: dict[int, _Flight] = {}
        self._flights: set[_Flight] = set()
        self._timers: list[tuple[float, int, int, _Flight]] = []
        self._numbers = itertools.count()
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Open the descriptors and start the thread."""
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._thread = threading.Thread(target=self._work, name="probe-loop", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """End the thread; runs under way end as errors of reason `stopped`."""
        with self._lock:
            self._stopping = True
            self._ring()
        if self._thread is not None:
            self._thread.join(timeout)

    def in_flight(self) -> int:
        """Return how many runs were submitted and are not done."""
        return self._in_flight

    def submit(self, kind: Kind, run: Run, on_done: OnDone) -> bool:
        """Start a run of a socket kind; False when the loop is full or stopping.

        on_done is called once, on the loop's thread.
        """
        assert kind.steps is not None  # noqa: S101 (other kinds belong into the thread pool)
        steps = kind.steps
        with self._lock:
            if self._stopping or self._in_flight >= self._max:
                return False
            self._in_flight += 1
            # Under the same lock as the check: a stopping loop empties its inbox once.
            self._post(lambda: self._begin(steps, run, on_done))
        return True

    def _post(self, action: Callable[[], None]) -> None:
        """Have an action done on the loop's thread; the caller holds the lock."""
        # One ring wakes for everything posted until the loop looks.
        first = not self._inbox
        self._inbox.append(action)
        if first:
            self._ring()

    def _ring(self) -> None:
        # Also called before the start and, by a late look-up, after the end.
        with contextlib.suppress(OSError, AttributeError, ValueError):
            os.eventfd_write(self._bell, 1)

    def _work(self) -> None:
        try:
            while not self._stopping:
                self._turn()
        finally:
            self._close()

    def _turn(self) -> None:
        """Wait once and do everything that is due."""
        for fd, _ in self._poll():
            if fd == self._bell:
                os.eventfd_read(self._bell)
                continue
            flight = self._by_fd.get(fd)
            if flight is not None:
                self._resume(flight, None, None)
        while self._inbox:
            self._inbox.popleft()()
        self._fire_timers()

    def _poll(self) -> list[tuple[int, int]]:
        """Wait for events until the next timer; more precisely than epoll's milliseconds."""
        if self._inbox:
            return self._epoll.poll(0)
        if not self._timers:
            return self._epoll.poll()
        wait = self._timers[0][0] - self._clock()
        if wait <= 0:
            return self._epoll.poll(0)
        if wait >= 0.001 or self._epoll.fileno() >= _SELECT_LIMIT:
            return self._epoll.poll(max(0.001, int(wait * 1_000) / 1_000))
        # An epoll is itself readable, and select counts in microseconds.
        select.select([self._epoll.fileno()], [], [], wait)
        return self._epoll.poll(0)

    def _begin(self, steps: Callable[[Run], Steps], run: Run, on_done: OnDone) -> None:
        flight = _Flight(steps(run), run, on_done)
        self._flights.add(flight)
        if self._stopping:
            return
        self._add_timer(run.deadline, -1, flight)
        self._resume(flight, None, None)

    def _add_timer(self, due: float, wait: int, flight: _Flight) -> None:
        """Call _expire at that moment; wait -1 stands for the run's deadline."""
        heapq.heappush(self._timers, (due, next(self._numbers), wait, flight))
        # Timers of finished runs stay until they are due; do not let them pile up.
        if len(self._timers) > 1_000 + 4 * len(self._flights):
            self._timers = [one for one in self._timers if not one[3].done]
            heapq.heapify(self._timers)

    def _fire_timers(self) -> None:
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            _, _, wait, flight = heapq.heappop(self._timers)
            if flight.done or wait not in (-1, flight.wait):
                continue
            if wait == -1:
                self._resume(flight, None, TimeoutError("the deadline has passed"), last=True)
            elif flight.sleeping:
                self._resume(flight, None, None)
            else:
                self._resume(flight, None, TimeoutError("the wait is over"))

    def _resume(
        self, flight: _Flight, answer: Any, failure: BaseException | None, last: bool = False
    ) -> None:
        """Go on with a run until it waits or ends; last: its time is over."""
        flight.sleeping = False
        while not flight.done:
            if not last and flight.run.clock() >= flight.run.deadline:
                # Nothing may be sent after the deadline, even if an answer came just then.
                failure, last = TimeoutError("the deadline has passed"), True
            try:
                steps = flight.steps
                want = steps.send(answer) if failure is None else steps.throw(failure)
            except StopIteration as end:
                return self._finish(flight, end.value)
            except TimeoutError as error:
                return self._finish(flight, finding_of(error, ""))
            except Exception as error:  # noqa: BLE001 (one kind's mistake ends its run alone)
                return self._finish(flight, crash(error))
            if last:
                return self._finish(flight, finding_of(TimeoutError(), ""))
            flight.wait += 1
            try:
                answer = self._arrange(flight, want)
                failure = None
            except Exception as error:  # noqa: BLE001 (belongs to the run)
                answer, failure = None, error
            if answer is None and failure is None:
                return None
        return None

    def _arrange(self, flight: _Flight, want: Want) -> Any:
        """Have the run resumed when its wish is fulfilled; returns what is there already."""
        if isinstance(want, WaitSocket):
            self._watch(flight, want)
        elif isinstance(want, Sleep):
            self._add_timer(self._clock() + want.seconds, flight.wait, flight)
            flight.sleeping = True
        else:
            return self._look_up(flight, want)
        return None

    def _watch(self, flight: _Flight, want: WaitSocket) -> None:
        fd = want.sock.fileno()
        if fd != flight.fd:
            self._forget(flight)
            flight.fd = fd
            self._by_fd[fd] = flight
        events = _EVENTS[want.event]
        try:
            self._epoll.modify(fd, events)
        except FileNotFoundError:
            self._epoll.register(fd, events)
        if want.until is not None:
            self._add_timer(want.until, flight.wait, flight)

    def _look_up(self, flight: _Flight, want: Resolve) -> Any:
        known = self._resolver.numeric(want)
        if known is not None:
            return known
        wait = flight.wait

        def answered(answer: Any) -> None:
            with self._lock:
                self._post(lambda: self._answered(flight, wait, answer))

        self._resolver.resolve(want, answered)
        return None

    def _answered(self, flight: _Flight, wait: int, answer: Any) -> None:
        """Hand a look-up's answer to the run, unless its time was over before."""
        if flight.done or flight.wait != wait:
            return
        failed = isinstance(answer, BaseException)
        self._resume(flight, None if failed else answer, answer if failed else None)

    def _forget(self, flight: _Flight) -> None:
        """Drop the run's descriptor, unless it was closed and is another run's by now."""
        if self._by_fd.get(flight.fd) is flight:
            del self._by_fd[flight.fd]

    def _finish(self, flight: _Flight, finding: Finding) -> None:
        flight.done = True
        with contextlib.suppress(Exception):
            flight.steps.close()
        self._forget(flight)
        self._flights.discard(flight)
        with self._lock:
            self._in_flight -= 1
        try:
            flight.on_done(finding)
        except Exception:
            logger.exception("A probe's result could not be handed over")

    def _close(self) -> None:
        """End every run, then the descriptors."""
        while self._inbox:
            self._inbox.popleft()()
        for flight in list(self._flights):
            self._finish(flight, Finding("error", "stopped", "", "The agent stopped."))
        with self._lock:
            self._epoll.close()
            os.close(self._bell)
            self._bell = -1
