"""The writer of results: one thread per process that stores by group commit.

A batch that fails for the database's sake is answered "later" and repeated
by the agents; one that fails for another reason is taken apart until the culprit is
alone, refused and logged, so that it never blocks what is behind it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from django.db import InterfaceError, OperationalError

from agent_client.protocol.probes import ProbeResult
from agents.principal import AgentPrincipal
from agents.probe_duty import Refusal
from dialer_platform.errors import Unavailable
from dialer_platform.storage.gathering import GatheringThread
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
        self._queue: GatheringThread[Submission] = GatheringThread(
            "result-writer",
            lambda batch, _stopping: self._try(batch),
            max_waiting=MAX_WAITING_RESULTS,
            max_batch=MAX_BATCH_RESULTS,
            weigh=lambda submission: len(submission.results),
            on_end=close_connections,
        )
        self.counts = {"batches": 0, "stored": 0, "refused": 0, "set_aside": 0, "slowed": 0}

    @property
    def waiting(self) -> int:
        """Return how many results wait for their commit."""
        return self._queue.waiting

    def put(
        self, principal: AgentPrincipal, results: Sequence[ProbeResult]
    ) -> Future[list[Refusal]]:
        """Queue results; the future holds the refusals after the commit. Raises SlowDown."""
        submission = Submission(principal, results)
        if not self._queue.put(submission):
            self.counts["slowed"] += 1
            raise SlowDown("Too many results wait to be stored.")
        return submission.done

    def stop(self, timeout_seconds: float = 10.0) -> None:
        """Store what waits, then end the thread; what is not stored was never confirmed."""
        self._queue.stop(timeout_seconds)

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
