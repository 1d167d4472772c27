"""One group of submissions in one transaction: judged, each result once, acknowledged after.

Exactly once: which numbers of a stream were seen is stored with the results themselves;
a repeated request, in whatever order, finds its numbers there. Answers of test runs are
stored first, in the other database, by an update that may be repeated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import msgspec
from django.conf import settings
from django.db import connections

from agent_client.protocol.probes import ProbeResult
from agents.principal import AgentPrincipal
from agents.probe_duty import Refusal
from dialer_platform.storage import write_transaction
from tasks.probes import sets
from tasks.probes.ingest import rows
from tasks.probes.ingest.judging import Judge, Refused, Row, check, row_of
from tasks.probes.ingest.ranges import Ranges
from tasks.probes.services import run_requests

DAY_SECONDS = 86_400.0
MAX_STREAM_CHARACTERS = 64


@dataclass(slots=True)
class Submission:
    """What one request brought, and where its refusals go after the commit."""

    principal: AgentPrincipal
    results: Sequence[ProbeResult]
    done: Future[list[Refusal]] = field(default_factory=Future)
    refusals: list[Refusal] = field(default_factory=list)


def store_batch(batch: Sequence[Submission]) -> int:
    """Store the submissions and return how many rows that made; raises what the database raises."""
    judges = {one.principal.agent_id: _judge(one) for one in batch}
    run_requests.answer_all(
        [
            (one.principal, result)
            for one in batch
            for result in one.results
            if result.request_id and result.tenant_id == one.principal.tenant_id
        ]
    )
    # One snapshot of the clock and the positions; nothing else runs on this log meanwhile.
    with write_transaction(settings.SERIES_DATABASE):
        rows.lock_log()
        known = rows.read_positions(one.principal.agent_id for one in batch)
        touched: dict[rows.Stream, Ranges] = {}
        new: list[Row] = []
        for one in batch:
            one.refusals = []
            _judge_each(one, judges[one.principal.agent_id], known, touched, new)
        rows.append(new)
        rows.write_positions(touched)
    return len(new)


def _judge_each(
    one: Submission,
    judge: Judge,
    known: dict[rows.Stream, Ranges],
    touched: dict[rows.Stream, Ranges],
    new: list[Row],
) -> None:
    """Add the rows of one submission, and note what is refused."""
    agent_id = one.principal.agent_id
    for result in one.results:
        if result.request_id:
            continue
        key = (agent_id, result.stream)
        seen = touched.get(key)
        if seen is None:
            seen = known.get(key) or Ranges()
        if not result.started_at:
            # A simple reporter has no clock of its own: what it sends is from now.
            result = msgspec.structs.replace(result, started_at=judge.now)
        try:
            check(result, judge)
        except Refused as reason:
            one.refusals.append(Refusal(result.seq, reason.code, reason.detail))
            continue
        if seen.add(result.seq):
            touched[key] = seen
            new.append(row_of(result, agent_id))


def _judge(one: Submission) -> Judge:
    """Return what the results of an agent are held against, looking again where they differ."""
    principal = one.principal
    known = sets.duty(principal.agent_id)
    strange = any(result.task_id not in known.probes for result in one.results)
    if strange and sets.may_look_again(principal.agent_id):
        # A probe made a moment ago in another process, or the first words after a start.
        known = sets.look_again(principal.agent_id, principal.tenant_id)
    now = time.time()
    oldest = now - settings.RESULTS_KEPT_DAYS * DAY_SECONDS
    return Judge(principal.tenant_id, known.probes, now, oldest)


def close_connections() -> None:
    """Close this thread's connections, so that the next batch opens sound ones."""
    connections.close_all()
