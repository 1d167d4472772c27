"""The threads for kinds that block: so many at once, and none for ever.

A ThreadPoolExecutor does the work. A run past its hard deadline is given up: its result
is a timeout and its slot goes to a spare thread, while the hung one is counted until it
comes back. When the spares are used up the pool shrinks, and says so by `abandoned`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from agent_client.probes.kind import Finding

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 0.5
_THREADS = "probe"
GRACE_SECONDS = 0.5
"""What a kind that keeps its own deadline gets to say so in its own words."""
OnDone = Callable[[Finding], None]


@dataclass(slots=True, eq=False)
class Job:
    """One run in a thread; expires on the pool's clock."""

    expires: float
    is_given_up: bool = False


def end_despite_hung_threads(exit_code: int) -> None:
    """End the process at once when a probe's thread hangs; returns when none does.

    The interpreter waits for every thread of an executor, a hung one for ever.
    """
    own = [one for one in threading.enumerate() if one.name.startswith(f"{_THREADS}_")]
    for thread in own:
        thread.join(LEAVE_SECONDS)
    if any(thread.is_alive() for thread in own):
        os._exit(exit_code)


class DialPool:
    """At most max_workers runs at once; all methods are safe in any thread."""

    def __init__(
        self,
        max_workers: int,
        *,
        max_abandoned: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """max_abandoned hung threads are replaced (default: as many as there are workers)."""
        self.max_workers = max_workers
        self._spares = max_workers if max_abandoned is None else max_abandoned
        self._clock = clock
        self._lock = threading.Lock()
        self._jobs: set[Job] = set()
        self._executor = ThreadPoolExecutor(max_workers + self._spares, _THREADS)
        self.abandoned = 0
        """Threads that hang now."""

    @property
    def active(self) -> int:
        """Return how many runs are under way, without those given up."""
        return len(self._jobs)

    @property
    def has_room(self) -> bool:
        """Return whether a run can start at once."""
        unreplaced = max(0, self.abandoned - self._spares)
        return len(self._jobs) + unreplaced < self.max_workers

    def submit(
        self, call: Callable[[], Finding], *, timeout_seconds: float, on_done: OnDone
    ) -> Job:
        """Start a run; ask `has_room` before. on_done comes once, from some thread."""
        job = Job(self._clock() + timeout_seconds + GRACE_SECONDS)
        with self._lock:
            self._jobs.add(job)
        self._executor.submit(self._work, job, call, on_done)
        return job

    def give_up(self, job: Job) -> bool:
        """Free the slot of a run that hangs; False when it has just ended."""
        with self._lock:
            if job not in self._jobs:
                return False
            self._jobs.discard(job)
            job.is_given_up = True
            self.abandoned += 1
            return True

    def close(self) -> None:
        """Take no more runs; hung threads are left behind."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _work(self, job: Job, call: Callable[[], Finding], on_done: OnDone) -> None:
        try:
            finding = call()
        except Exception as error:  # noqa: BLE001 (a plug-in's mistake ends its own run only)
            finding = Finding("error", reason="crash", error=f"{type(error).__name__}: {error}")
        with self._lock:
            self._jobs.discard(job)
            if job.is_given_up:
                self.abandoned -= 1
        on_done(finding)
