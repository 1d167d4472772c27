"""Name look-ups on threads of their own, because getaddrinfo cannot be cancelled.

Nobody waits in here: who asks is called back, keeps its own deadline and may forget the
answer. A look-up that never returns costs its thread alone; another thread takes its
place, up to MAX_THREADS, so a dead name server cannot stop the probes of other names.
Look-ups of one name at one time are one look-up. Nothing is cached: the time of a look-up
is part of what a probe measures.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import deque
from collections.abc import Callable

from agent_client.probes.kind import Address, Resolve
from agent_client.probes.targets import TargetPolicy

THREADS = 6
MAX_THREADS = 48
STUCK_AFTER_SECONDS = 2.0
"""A thread that is busy with one name for longer no longer counts as one of the THREADS."""
MAX_WAITING_NAMES = 10_000

Answer = list[Address] | BaseException
Lookup = Callable[[str, int, int, int], list[Address]]
_Key = tuple[str, int, int]


def system_lookup(host: str, port: int, family: int, kind: int) -> list[Address]:
    """Ask the system's resolver; raises socket.gaierror or UnicodeError."""
    return socket.getaddrinfo(host, port, family, kind)  # type: ignore[return-value]


class Resolver:
    """A bounded pool; every method is safe in any thread. Threads start when needed."""

    def __init__(
        self,
        policy: TargetPolicy | None = None,
        lookup: Lookup = system_lookup,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Judge answers by the policy; the default one denies link-local and metadata.

        Another policy may be set at any time: it judges every answer from then on.
        """
        self.policy = policy or TargetPolicy()
        self._lookup = lookup
        self._clock = clock
        self._changed = threading.Condition()
        self._queue: deque[_Key] = deque()
        self._waiting: dict[_Key, list[tuple[Resolve, Callable[[Answer], None]]]] = {}
        self._busy_since: dict[int, float] = {}
        self._threads = 0
        self._next_thread = 0
        self._closed = False

    def numeric(self, want: Resolve) -> list[Address] | None:
        """Return the address of a host that is one already, None for a name.

        Raises TargetDenied. Most probes of large installations name addresses, and asking
        a thread would cost more than the whole connection.
        """
        self.policy.check_name(want.host)
        address = _literal(want)
        return None if address is None else self.policy.permitted(want.host, [address])

    def resolve(self, want: Resolve, on_done: Callable[[Answer], None]) -> None:
        """Call on_done once with the permitted addresses or the error, in any thread.

        May never call when the system's resolver never answers: have a deadline.
        """
        key = (want.host, want.family, want.type)
        with self._changed:
            waiting = self._waiting.get(key)
            if waiting is not None:
                waiting.append((want, on_done))
                return
            refused = self._closed or len(self._waiting) >= MAX_WAITING_NAMES
            if not refused:
                self._waiting[key] = [(want, on_done)]
                self._queue.append(key)
                self._start_thread()
                self._changed.notify()
        if refused:
            on_done(OSError("too many names wait for the system's resolver"))

    def close(self) -> None:
        """Take no more names; threads end when their look-up returns, if it ever does."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def threads(self) -> int:
        """Return how many threads exist, stuck ones included."""
        return self._threads

    def _start_thread(self) -> None:
        """Start another thread when none of those that still answer is free."""
        now = self._clock()
        stuck = sum(now - since > STUCK_AFTER_SECONDS for since in self._busy_since.values())
        idle = self._threads - len(self._busy_since)
        if idle >= len(self._queue) or self._threads - stuck >= THREADS:
            return
        if self._threads >= MAX_THREADS:
            return
        self._threads += 1
        self._next_thread += 1
        # Daemons: a look-up that hangs must not keep the agent from ending.
        threading.Thread(
            target=self._work, args=(self._next_thread,), name="resolver", daemon=True
        ).start()

    def _work(self, number: int) -> None:
        while (key := self._take(number)) is not None:
            answer: Answer
            try:
                answer = self._lookup(key[0], 0, key[1], key[2])
            except Exception as error:  # noqa: BLE001 (whatever it was belongs to who asked)
                answer = error
            with self._changed:
                waiting = self._waiting.pop(key)
            for want, on_done in waiting:
                on_done(self._judged(want, answer))

    def _take(self, number: int) -> _Key | None:
        """Return the next name, None when this thread is one too many or all is over."""
        with self._changed:
            self._busy_since.pop(number, None)
            while not self._queue and not self._closed and self._threads <= THREADS:
                self._changed.wait()
            if not self._queue or self._closed:
                self._threads -= 1
                return None
            self._busy_since[number] = self._clock()
            return self._queue.popleft()

    def _judged(self, want: Resolve, answer: Answer) -> Answer:
        """Return one waiter's own answer: its port, and only what the policy permits."""
        if isinstance(answer, BaseException):
            return answer
        try:
            addresses = self.policy.permitted(want.host, answer)
        except Exception as error:  # noqa: BLE001 (a denial is the answer)
            return error
        return [
            (family, kind, protocol, name, (address[0], want.port, *address[2:]))
            for family, kind, protocol, name, address in addresses
        ]


def _literal(want: Resolve) -> Address | None:
    """Return the address when the host is written as one of the wanted family."""
    if ":" not in want.host and not want.host[-1:].isdigit():
        return None
    try:
        if ":" not in want.host and want.family in (0, socket.AF_INET):
            socket.inet_pton(socket.AF_INET, want.host)
            return (socket.AF_INET, want.type, 0, "", (want.host, want.port))
        # A zone (fe80::1%eth0) needs the system's help and goes the long way.
        if ":" in want.host and want.family in (0, socket.AF_INET6):
            socket.inet_pton(socket.AF_INET6, want.host)
            return (socket.AF_INET6, want.type, 0, "", (want.host, want.port, 0, 0))
    except OSError:
        return None
    return None
