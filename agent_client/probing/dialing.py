"""Puts dial testing together: the set of probes, the scheduler, the results and their way.

What was due while no agent ran is told at the start, from what is stored and what is
known: a killed agent loses results, never the count of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from agent_client.config import AgentConfig
from agent_client.outbox.filesystem import LocalFileSystem
from agent_client.outbox.outbox import Bounds, Outbox
from agent_client.policy import Policy
from agent_client.probes.registry import KINDS, prepare
from agent_client.probes.resolver import Resolver
from agent_client.probes.selector_loop import SelectorLoop
from agent_client.probes.targets import TargetPolicy
from agent_client.probing.backlog import Backlog
from agent_client.probing.clock import SteadyClock
from agent_client.probing.load import SOCKET_RUNS, Limits
from agent_client.probing.plan import Missed, first_after, phase_of
from agent_client.probing.pool import DialPool
from agent_client.probing.results import ResultWriter, Watermarks, summarise
from agent_client.probing.sync import ProbeFile, ProbeSync, StoredSet
from agent_client.probing.uploader import BATCH_RESULTS, Uploader
from agent_client.protocol import probe_kinds
from agent_client.protocol.messages import ProbePool, ThreadPool
from agent_client.protocol.probes import ProbeSet, ProbeTask
from agent_client.scheduler import Scheduler
from agent_client.transport.backoff import Backoff
from agent_client.transport.base import Endpoint

logger = logging.getLogger(__name__)

SCRIPT_KINDS = frozenset({"script"})
STOP_SECONDS = 30.0
FLUSH_SECONDS = 5.0


class Dialing:
    """The dial tests of this host; start and stop wait and belong into a thread."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        agent_id: str,
        endpoint: Callable[[str], Endpoint],
        make_backoff: Callable[[AgentConfig], Backoff],
        policy: Policy | None = None,
    ) -> None:
        """Name the parts; nothing is opened before `start`."""
        self._config = config
        self._agent_id = agent_id
        self._endpoint = endpoint
        self._make_backoff = make_backoff
        self._policy = policy or Policy()
        self._file = ProbeFile(config.state_dir / "probes.json")
        self._lock = threading.Lock()
        self._parts: _Parts | None = None

    def start(self) -> None:
        """Open the outbox, go on with the last known probes and ask for newer ones."""
        parts = _Parts(self._config, self._agent_id, self._file, self._policy)
        parts.uploader = Uploader(
            parts.outbox, backoff=self._make_backoff(self._config), endpoint=self._endpoint
        )
        parts.sync = ProbeSync(
            agent_id=self._agent_id,
            backoff=self._make_backoff(self._config),
            endpoint=self._endpoint,
            on_set=self._take,
        )
        self._parts = parts
        # It may have changed between the making of the parts and their being known.
        parts.limit(self._policy)
        parts.start()

    def stop(self) -> None:
        """Let running probes end, cancel what waits, store and send what there is."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.stop()

    def limit(self, policy: Policy) -> None:
        """Keep to another policy from now on; what runs goes on, its next run is judged anew."""
        self._policy = policy
        parts = self._parts
        if parts is not None:
            parts.limit(policy)

    def named(self, revision: int | None) -> None:
        """Note which revision of the probes the server has."""
        parts = self._parts
        if parts is not None and parts.sync is not None:
            parts.sync.named(revision)

    def thread_pool(self) -> ThreadPool:
        """Return the state of the pool for the heartbeat."""
        parts = self._parts
        if parts is None:
            return ThreadPool(max_workers=self._config.thread_pool.max_workers)
        return parts.scheduler.thread_pool()

    def probe_pool(self) -> ProbePool | None:
        """Return the state of the probes for the heartbeat, None before the start."""
        parts = self._parts
        if parts is None:
            return None
        return msgspec.structs.replace(
            parts.scheduler.probe_pool(),
            outbox_results=parts.outbox.waiting,
            outbox_dropped=parts.outbox.dropped,
            revision=parts.sync.revision if parts.sync else 0,
        )

    def backlog(self) -> Backlog:
        """Return what waits to be sent, nothing before the start; never waits itself."""
        parts = self._parts
        if parts is None:
            return Backlog()
        return Backlog(
            results=parts.outbox.waiting,
            size_bytes=parts.outbox.size_bytes,
            fill=parts.outbox.fill,
            failures=parts.uploader.failures if parts.uploader else 0,
            refused=parts.uploader.rejected if parts.uploader else 0,
        )

    def _take(self, probes: ProbeSet) -> None:
        """Use a set: on disk first, so that a restart knows what is counted from now on."""
        parts = self._parts
        if parts is None:
            return
        with self._lock:
            self._file.save(probes, time.time())
            parts.watermarks.keep_only([task.task_id for task in probes.tasks])
            parts.scheduler.apply(probes.tasks, probes.runs)


class _Parts:
    """What lives from start to stop."""

    def __init__(self, config: AgentConfig, agent_id: str, file: ProbeFile, policy: Policy) -> None:
        """Open the outbox; raises OSError."""
        settings = config.thread_pool
        self._agent_id = agent_id
        self._file = file
        self.sync: ProbeSync | None = None
        self.uploader: Uploader | None = None
        self.watermarks = Watermarks()
        self.clock = SteadyClock()
        self.outbox = _open_outbox(
            config.state_dir / "outbox", self, bounds_of(config.connection.ws_outbox_max_size)
        )
        self.watermarks = Watermarks(self.outbox.recovered_snapshot, self.outbox.recovered_tail)
        self.outbox.recovered_tail = []
        self.writer = ResultWriter(self.outbox, self.watermarks, on_stored=self._stored)
        self.resolver = Resolver()
        self.limit(policy)
        self.loop = SelectorLoop(self.resolver, max_in_flight=SOCKET_RUNS + 1)
        self.scheduler = Scheduler(
            agent_id,
            pool=DialPool(settings.max_workers),
            sockets=self.loop,
            prepare=lambda task: prepare(task, denied_kinds=self._denied_kinds),
            blocks=needs_thread,
            record=self.writer.put,
            clock=self.clock,
            limits=Limits(settings.task_timeout, settings.queue_size_limit),
        )

    def limit(self, policy: Policy) -> None:
        """Judge kinds and addresses by another policy; safe in any thread."""
        targets = policy.probe_targets
        self.resolver.policy = TargetPolicy(targets.deny, targets.allow)
        self._denied_kinds = denied_kinds(policy)

    def start(self) -> None:
        """Start all threads; what was due before is told first."""
        self.writer.start()
        self.loop.start()
        self.scheduler.start()
        stored = self._file.load()
        self.scheduler.know_requests(self.watermarks.requests)
        # One moment for both: a run due between them would be told by neither.
        now = self.clock()
        for span in missed_before(stored, self.watermarks, self._agent_id, now):
            self.scheduler.count_missed(span)
        if stored.tasks:
            self.scheduler.apply(stored.tasks, since=now)
        if self.uploader is not None and self.sync is not None:
            self.uploader.start()
            self.sync.start()

    def stop(self) -> None:
        """Stop in the reverse order of the way of a result."""
        if self.sync is not None:
            self.sync.close()
        self.scheduler.stop(STOP_SECONDS)
        self.loop.stop()
        self.writer.close()
        if self.uploader is not None:
            self.uploader.close(FLUSH_SECONDS)
        try:
            self.outbox.close()
        except OSError as error:
            logger.warning("the outbox did not close cleanly: %s", error)

    def _stored(self) -> None:
        if self.uploader is not None:
            self.uploader.wake()


def bounds_of(max_messages: int) -> Bounds:
    """Return what may wait on disk when so many messages may: each carries a full batch."""
    return Bounds(max_records=max_messages * BATCH_RESULTS)


def _open_outbox(directory: Path, parts: _Parts, bounds: Bounds) -> Outbox:
    # Both callables are used later only, when the outbox is there.
    def summed(payloads: Sequence[bytes], take: Callable[[], int]) -> list[tuple[int, bytes]]:
        return summarise(payloads, parts.outbox.stream, take)

    return Outbox(
        LocalFileSystem(directory),
        summarise=summed,
        snapshot=lambda: parts.watermarks.snapshot(),
        bounds=bounds,
        # By the wall clock, one that is set forward would make all results too old at once.
        clock=parts.clock,
    )


def denied_kinds(policy: Policy) -> frozenset[str]:
    """Return the kinds that the host's policy does not allow.

    A script probe is a script, and it runs as the agent's own user.
    """
    if "probes" not in policy.work:
        return frozenset(probe_kinds.names())
    runs_scripts = "scripts" in policy.work and policy.allows_own_user
    return frozenset() if runs_scripts else SCRIPT_KINDS


def needs_thread(task: ProbeTask) -> bool:
    """Return whether a probe's kind blocks, so that it needs a thread of the pool."""
    kind = KINDS.get(task.kind)
    return kind is not None and kind.steps is None


def missed_before(
    stored: StoredSet, watermarks: Watermarks, agent_id: str, now: float
) -> list[Missed]:
    """Return what was due since the last stored result of each probe, up to now."""
    spans = []
    for task in stored.tasks:
        since = watermarks.moments.get(task.task_id, stored.since.get(task.task_id, now))
        phase = phase_of(task, agent_id)
        # The last one itself is stored; its moment is exact to far less than half an interval.
        first = first_after(since + min(task.interval / 2, 0.5), phase, task.interval)
        if first > now:
            continue
        count = int((now - first) / task.interval) + 1
        last = first + (count - 1) * task.interval
        spans.append(Missed(task, "agent_restart", count, first, last))
    return spans
