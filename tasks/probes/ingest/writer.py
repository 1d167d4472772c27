"""The writer of results: one thread per process that stores by group commit.

While one commit waits for the disk, what arrives gathers for the next; so the rate grows
with the load. A batch that fails for the database's sake is answered "later" and repeated
by the agents; one that fails for another reason is taken apart until the culprit is
alone, refused and logged, so that it never blocks what is behind it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from django.db import InterfaceError, OperationalError

from agent_client.protocol.probes import ProbeResult
from agents.principal import AgentPrincipal
from agents.probe_duty import Refusal
from dialer_platform.errors import Unavailable
from tasks.probes.ingest.batch import Submission, close_connections, store_batch

log = logging.getLogger("dialer.probes.ingest")

MAX_WAITING_RESULTS = 100_000
MAX_BATCH_RESULTS = 20_000


class SlowDown(Unavailable):
    """Too many results wait: the agent keeps its own and comes again."""

    code = "slow_down"


class ResultWriter:
    """A bounded queue of submissions and the thread that empties it."""

    def __init__(self, store: Callable[[Sequence[Submission]], int] = store_batch) -> None:
        """`store` stores a batch in one transaction or raises."""
        self._store = store
        self._waiting: deque[Submission] = deque()
        self._waiting_results = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self.counts = {"batches": 0, "stored": 0, "refused": 0, "set_aside": 0, "slowed": 0}

    @property
    def waiting(self) -> int:
        """Return how many results wait for their commit."""
        return self._waiting_results

    def put(
        self, principal: AgentPrincipal, results: Sequence[ProbeResult]
    ) -> Future[list[Refusal]]:
        """Queue results; the future holds the refusals after the commit. Raises SlowDown."""
        submission = Submission(principal, results)
        with self._changed:
            if self._waiting_results + len(results) > MAX_WAITING_RESULTS:
                self.counts["slowed"] += 1
                raise SlowDown("Too many results wait to be stored.")
            self._waiting.append(submission)
            self._waiting_results += len(results)
            if self._thread is None:
                self._start_thread()
            self._changed.notify()
        return submission.done

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Store what waits, then end the thread; what is not stored was never confirmed."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._stopping.set()
            self._changed.notify()
        if thread:
            thread.join(timeout_seconds)

    def _start_thread(self) -> None:
        """Start the thread; the caller holds the condition."""
        self._stopping = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(self._stopping,), name="result-writer", daemon=True
        )
        self._thread.start()

    def _work(self, stopping: threading.Event) -> None:
        """Store batch after batch until told to stop and nothing waits."""
        try:
            while batch := self._next_batch(stopping):
                self._try(batch)
        finally:
            close_connections()

    def _next_batch(self, stopping: threading.Event) -> list[Submission]:
        """Wait for work and take what fits into one transaction; empty means stop."""
        with self._changed:
            while not self._waiting and not stopping.is_set():
                self._changed.wait()
            batch: list[Submission] = []
            size = 0
            while self._waiting and size < MAX_BATCH_RESULTS:
                batch.append(self._waiting.popleft())
                size += len(batch[-1].results)
            self._waiting_results -= size
        return batch

    def _try(self, batch: list[Submission]) -> None:
        """Store a batch and tell its agents; halve it when something in it is poisoned."""
        try:
            self.counts["stored"] += self._store(batch)
        except (OperationalError, InterfaceError) as error:
            log.error("the database takes no results", extra={"data": {"error": str(error)[:500]}})
            close_connections()
            for one in batch:
                one.done.set_exception(Unavailable("The results cannot be stored now."))
        except Exception as error:  # noqa: BLE001 - whatever a hostile result provokes, the stream goes on
            self._take_apart(batch, error)
        else:
            self.counts["batches"] += 1
            for one in batch:
                self.counts["refused"] += len(one.refusals)
                one.done.set_result(one.refusals)

    def _take_apart(self, batch: list[Submission], error: Exception) -> None:
        """Store the parts of a batch alone; a single result that fails is refused."""
        if len(batch) > 1:
            for one in batch:
                self._try([one])
            return
        (whole,) = batch
        if len(whole.results) > 1:
            parts = [Submission(whole.principal, [result]) for result in whole.results]
            for part in parts:
                self._try([part])
            _join(whole, parts)
            return
        self.counts["set_aside"] += 1
        facts = {"agent": whole.principal.agent_id, "result": repr(whole.results)[:2000]}
        log.error("a result was set aside", extra={"data": facts}, exc_info=error)
        seqs = [result.seq for result in whole.results]
        whole.done.set_result(
            [Refusal(seq, "set_aside", "The server cannot process it.") for seq in seqs]
        )


def _join(whole: Submission, parts: Sequence[Submission]) -> None:
    """Answer a submission by what became of its parts."""
    refusals: list[Refusal] = []
    for part in parts:
        error = part.done.exception()
        if error is not None:
            whole.done.set_exception(error)
            return
        refusals += part.done.result()
    whole.done.set_result(refusals)
