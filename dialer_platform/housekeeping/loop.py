"""Runs the due jobs one after the other while this process holds the lease.

Promises that a failing job harms no other, that the loop survives a locked or missing
database, and that a stop request is followed within one job. One thread, no pile-up: a
late job runs once, not as often as it was missed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, close_old_connections
from django.utils import timezone

from dialer_platform.housekeeping import lease
from dialer_platform.housekeeping.jobs import Job, jobs
from dialer_platform.models import JobRun
from dialer_platform.storage import write_transaction

logger = logging.getLogger(__name__)

RENEW_SECONDS = 8.0
LATE_SECONDS = 10.0
LATE_INTERVALS = 3
SHORTEST_PAUSE_SECONDS = 0.05
ERROR_CHARACTERS = 500


@dataclass(slots=True)
class Progress:
    """When a job is due and how it went since the start."""

    job: Job
    due_at: float
    runs: int = 0
    failures: int = 0
    duration_seconds: float = 0.0
    error: str = ""
    is_reported: bool = True


class HousekeepingLoop:
    """One thread that holds the lease and runs the jobs; `start` and `stop` are its life."""

    def __init__(
        self,
        *,
        get_jobs: Callable[[], Sequence[Job]] = jobs,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing runs before `start` or `run`."""
        self.lease = lease.HousekeepingLease(lease.new_holder_name(), clock=clock)
        self.holds_lease = False
        self._get_jobs = get_jobs
        self._clock = clock
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._progress: dict[str, Progress] = {}
        self._renew_at = 0.0

    def start(self) -> None:
        """Run in a thread of its own."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self.run, name="housekeeping", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the loop to end and wait for the job that is running."""
        self.request_stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def request_stop(self) -> None:
        """Ask the loop to end; safe in a signal handler."""
        self._stopping.set()

    def is_on_time(self) -> bool:
        """Return whether no job is late by three intervals and 10 s; True where another works."""
        now = self._clock()
        return not self.holds_lease or all(
            now - one.due_at <= max(LATE_SECONDS, LATE_INTERVALS * one.job.interval_seconds)
            for one in list(self._progress.values())
        )

    def run(self) -> None:
        """Work until asked to stop, then give the lease up."""
        pause_seconds = 0.0
        while not self._stopping.wait(pause_seconds):
            pause_seconds = self._guarded_turn()
        try:
            self._leave()
        except DatabaseError:
            logger.warning("the housekeeping lease could not be given up; it ages by itself")
        finally:
            close_old_connections()

    def turn(self) -> float:
        """Renew the lease if it is time, run what is due; returns the pause in seconds."""
        now = self._clock()
        if now >= self._renew_at:
            self.holds_lease = self.lease.acquire()
            self._renew_at = now + RENEW_SECONDS
            self._report()
        if not self.holds_lease:
            return RENEW_SECONDS
        for progress in self._due(now):
            if self._stopping.is_set():
                break
            self._run_job(progress)
        return self._pause()

    def _guarded_turn(self) -> float:
        """Do one turn; a broken database is logged and tried again, never the end."""
        try:
            return self.turn()
        except DatabaseError:
            logger.exception("housekeeping cannot reach the database")
            self._renew_at = 0.0
            return RENEW_SECONDS
        finally:
            close_old_connections()

    def _due(self, now: float) -> list[Progress]:
        """Return the jobs whose time has come, in order of registration."""
        for job in self._get_jobs():
            known = self._progress.get(job.name)
            if known is None or known.job is not job:
                self._progress[job.name] = Progress(job, now)
        return [progress for progress in self._progress.values() if progress.due_at <= now]

    def _run_job(self, progress: Progress) -> None:
        """Run one job and note how it went."""
        started = self._clock()
        progress.error = ""
        try:
            progress.job.function()
        except Exception as error:  # Whatever one job does, the others must go on.
            logger.exception("job failed", extra={"data": {"job": progress.job.name}})
            progress.failures += 1
            progress.error = f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]
        finished = self._clock()
        progress.runs += 1
        progress.duration_seconds = finished - started
        progress.due_at = finished + progress.job.interval_seconds
        progress.is_reported = False

    def _pause(self) -> float:
        """Return how long nothing is to be done."""
        next_times = [self._renew_at, *(p.due_at for p in self._progress.values())]
        return max(SHORTEST_PAUSE_SECONDS, min(next_times) - self._clock())

    def _report(self) -> None:
        """Write how the jobs went, all in one transaction and only with the lease renewal."""
        news = [progress for progress in self._progress.values() if not progress.is_reported]
        if not news:
            return
        rows = [
            JobRun(
                name=progress.job.name,
                interval_seconds=progress.job.interval_seconds,
                finished_at=timezone.now(),
                duration_seconds=progress.duration_seconds,
                runs=progress.runs,
                failures=progress.failures,
                error=progress.error,
            )
            for progress in news
        ]
        fields = [field.name for field in JobRun._meta.fields if field.name != "name"]
        with write_transaction():
            JobRun.objects.bulk_create(
                rows, update_conflicts=True, unique_fields=["name"], update_fields=fields
            )
        for progress in news:
            progress.is_reported = True

    def _leave(self) -> None:
        """Report and give the lease up."""
        if self.holds_lease:
            self._report()
            self.lease.release()
            self.holds_lease = False
