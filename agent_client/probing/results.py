"""Turns what runs came to into records of the outbox, many to one fsync, on its own thread.

Results wait here for at most half a second. While the disk refuses them a bounded number
is kept in memory; beyond it the oldest become counted gaps. Knows for each probe up to
which due moment everything is stored, so that an agent that was killed can say after its
restart how many runs are missing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from agent_client.outbox.outbox import Outbox
from agent_client.outbox.segment import Record
from agent_client.probing.plan import Missed
from agent_client.protocol.probes import ProbeResult

logger = logging.getLogger(__name__)

COMMIT_SECONDS = 0.5
BATCH_RECORDS = 500
MAX_PENDING = 20_000
RETRY_SECONDS = 1.0
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(ProbeResult)


class Watermarks:
    """Per probe the last due moment, in UTC seconds, that is stored; as a snapshot of bytes."""

    def __init__(self, snapshot: bytes = b"", tail: Sequence[bytes] = ()) -> None:
        """Rebuild from the outbox; tail are the results behind the snapshot."""
        self._lock = threading.Lock()
        self.moments: dict[int, float] = (
            msgspec.msgpack.decode(snapshot, type=dict[int, float]) if snapshot else {}
        )
        self.requests: set[str] = set()
        """Runs on request whose result is stored already."""
        for payload in tail:
            self.add(_decoder.decode(payload))

    def add(self, result: ProbeResult) -> None:
        """Note a stored result."""
        with self._lock:
            self._add(result)

    def _add(self, result: ProbeResult) -> None:
        if result.request_id:
            self.requests.add(result.request_id)
        elif result.reason != "outbox_full":
            self.moments[result.task_id] = last_due(result)

    def keep_only(self, task_ids: Sequence[int]) -> None:
        """Forget probes that are gone."""
        wanted = set(task_ids)
        with self._lock:
            self.moments = {key: at for key, at in self.moments.items() if key in wanted}

    def snapshot(self) -> bytes:
        """Return all moments as bytes."""
        with self._lock:
            return msgspec.msgpack.encode(self.moments)


class ResultWriter:
    """The thread between the scheduler and the outbox; `put` never waits for the disk."""

    def __init__(
        self,
        outbox: Outbox,
        watermarks: Watermarks,
        *,
        on_stored: Callable[[], None] = lambda: None,
    ) -> None:
        """on_stored is called after every commit, in the writer's thread."""
        self._outbox = outbox
        self._watermarks = watermarks
        self._on_stored = on_stored
        self._results: deque[ProbeResult] = deque()
        self._failed: list[ProbeResult] = []
        self._failed_records: list[Record] = []
        self._ready = threading.Condition()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self.lost = 0
        """Results given up because the disk refused them for long; each is counted in a gap."""

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="probe-results", daemon=True)
        self._thread.start()

    def put(self, result: ProbeResult) -> None:
        """Take a result without sequence; safe in any thread."""
        self._results.append(result)
        # Waking the thread for each result would cost more than the result does.
        if len(self._results) in (1, BATCH_RECORDS):
            with self._ready:
                self._ready.notify()

    def close(self) -> None:
        """Store what is here, once more at most, and end the thread."""
        with self._ready:
            self._is_closing = True
            self._ready.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while True:
            with self._ready:
                while not (self._results or self._failed or self._is_closing):
                    self._ready.wait()
                if not self._is_closing:
                    pause = RETRY_SECONDS if self._failed else COMMIT_SECONDS
                    self._ready.wait_for(self._is_urgent, pause)
                is_last = self._is_closing
            self._store()
            if is_last and (self._failed or not self._results):
                return

    def _is_urgent(self) -> bool:
        return self._is_closing or (len(self._results) >= BATCH_RECORDS and not self._failed)

    def _store(self) -> None:
        """Commit everything that waits; what the disk refuses stays for the next time."""
        fresh = [self._results.popleft() for _ in range(len(self._results))]
        results = self._failed + fresh
        # A refused record keeps its sequence: part of it may be on the disk already.
        records = self._failed_records + [self._record(result) for result in fresh]
        self._failed, self._failed_records = [], []
        try:
            self._outbox.commit(records)
        except OSError as error:
            logger.warning("probe results cannot be stored: %s", error)
            self._keep(results, records)
            return
        for result in results:
            self._watermarks.add(result)
        self._on_stored()

    def _record(self, result: ProbeResult, sequence: int | None = None) -> Record:
        sequence = self._outbox.take_sequence() if sequence is None else sequence
        return Record(sequence, payload_of(result, sequence, self._outbox.stream))

    def _keep(self, results: list[ProbeResult], records: list[Record]) -> None:
        """Hold refused results; the oldest beyond the limit become gaps."""
        over = len(results) - MAX_PENDING
        if over > 0:
            self.lost += over
            gaps = gaps_of(results[:over])
            # Their place and their sequences are of what they stand for: a higher one in
            # front would have the reader take what follows for records it knows already.
            freed = [record.sequence for record in records[over - len(gaps) : over]]
            results = [*gaps, *results[over:]]
            records = [*map(self._record, gaps, freed), *records[over:]]
        self._failed, self._failed_records = results, records


def payload_of(result: ProbeResult, sequence: int, stream: str) -> bytes:
    """Return the JSON that goes to the server as it is."""
    return _encoder.encode(msgspec.structs.replace(result, seq=sequence, stream=stream))


def summarise(
    payloads: Sequence[bytes], stream: str, take: Callable[[], int]
) -> list[tuple[int, bytes]]:
    """Return gap records that stand for dropped results: one per probe, with their number."""
    gaps = gaps_of([_decoder.decode(payload) for payload in payloads])
    return [(sequence, payload_of(gap, sequence, stream)) for gap in gaps for sequence in (take(),)]


def gaps_of(results: Sequence[ProbeResult]) -> list[ProbeResult]:
    """Return one `missed` of reason `outbox_full` per probe; runs on request are let go."""
    gaps: dict[int, ProbeResult] = {}
    for one in results:
        if one.request_id:
            continue
        known = gaps.get(one.task_id)
        gaps[one.task_id] = ProbeResult(
            task_id=one.task_id,
            tenant_id=one.tenant_id,
            seq=0,
            outcome="missed",
            reason="outbox_full",
            started_at=known.started_at if known else first_due(one),
            ended_at=last_due(one),
            count=one.count + (known.count if known else 0),
            version=one.version,
        )
    return list(gaps.values())


def first_due(result: ProbeResult) -> float:
    """Return when the first run that a result is about was due."""
    return result.started_at - result.late_seconds


def last_due(result: ProbeResult) -> float:
    """Return when the last run that a result is about was due."""
    is_span = result.outcome == "missed" and result.ended_at is not None
    return result.ended_at if is_span and result.ended_at else first_due(result)


def result_of_span(span: Missed) -> ProbeResult:
    """Return the result that tells a span of missed runs."""
    return ProbeResult(
        task_id=span.task.task_id,
        tenant_id=span.task.tenant_id,
        seq=0,
        outcome="missed",
        reason=span.reason,
        started_at=span.first,
        ended_at=span.last,
        count=span.runs,
        version=span.task.version,
    )
