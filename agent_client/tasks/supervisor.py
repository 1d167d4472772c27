"""Starts, adopts, stops and forgets the tasks of this host.

Owns `<state>/tasks/` and the map of what is in it. Runs on the loop's thread; only the
killing of lost trees and the removal of directories go to threads. Promises that a task
is started at most once, that every change of state is reported once, and that tasks go on
when this process ends. Knows nothing of the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from agent_client.protocol.messages import HoldState, TaskSpec
from agent_client.recent import Recent
from agent_client.sub_agent import tree
from agent_client.sub_agent.records import FileSystem
from agent_client.sub_agent.stop import UNKILLABLE_SECONDS
from agent_client.tasks import adoption, loss, orphans
from agent_client.tasks.adoption import Finding
from agent_client.tasks.hints import Hints
from agent_client.tasks.identity import ProcessIdentity, open_pidfd
from agent_client.tasks.starter import Starter, StartRefused, StartUnknown
from agent_client.tasks.strays import Strays
from agent_client.tasks.taskdir import (
    Claim,
    ExitRecord,
    TaskDirectory,
    TaskKey,
    directory_name,
)
from agent_client.tasks.trash import Trash
from agent_client.tasks.watch import Watch

HEAL_SECONDS = 1.0
"""How often tasks in the middle of a start are looked at without a hint."""
SETTLE_SECONDS = 0.5
"""How long a sub-agent of unknown existence has to take its claim; it needs about 1 ms."""
_SWEEP_SECONDS = 0.02
ORPHAN_CHECK_SECONDS = 3600.0
SPAWNS_KEPT = 1_000


@dataclass(slots=True, eq=False)
class LocalTask:
    """A task this host holds; `identity` is the script's process once it runs."""

    key: TaskKey
    spec: TaskSpec
    directory: TaskDirectory
    state: HoldState = "accepted"
    identity: ProcessIdentity | None = None
    started_at: float | None = None
    exit: ExitRecord | None = None
    unkillable: bool = False
    _asked_at: float | None = field(default=None, repr=False)
    """When its sub-agent was asked for (monotonic seconds), None for an adopted task."""
    _watch: Watch | None = field(default=None, repr=False)
    _pending_stop: tuple[str, float] | None = field(default=None, repr=False)


class Supervisor:
    """The tasks of one host; on_change is called on the loop after every change of one.

    An adopted task reports the same moves as a started one, from `running` on, so that
    nobody has to ask what happened while the agent was away.
    """

    def __init__(
        self,
        *,
        state_dir: Path,
        installation: str | None,
        on_change: Callable[[LocalTask], None],
        logger: logging.Logger,
        login_environment: Mapping[str, str],
        files: Callable[[], Mapping[str, object]] | None = None,
        file_system: FileSystem | None = None,
    ) -> None:
        """`files` says what a task that moves a file needs to know about this host."""
        # Resolved, because the path marks a task's processes, also for the next agent.
        self._root = state_dir.resolve() / "tasks"
        self._installation = installation
        self._on_change = on_change
        self._logger = logger
        self._environment = dict(login_environment)
        self._files = files
        self._file_system = file_system or FileSystem()
        self._tasks: dict[TaskKey, LocalTask] = {}
        self._names: dict[str, LocalTask] = {}
        self._hints = Hints(self._hinted)
        self._starter = Starter(hints=self._hints.write_end, logger=logger)
        self._trash = Trash(self._root)
        self._background: set[asyncio.Task[None]] = set()
        self._healer: asyncio.Task[None] | None = None
        self._closed = False
        self.spawn_seconds = Recent(SPAWNS_KEPT)
        """From asking for a sub-agent until its script's identity is on disk."""

    async def start(self) -> None:
        """Bring up the zygote, then take over everything found on disk."""
        tree.become_subreaper()
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hints.begin()
        await self._starter.start()
        self._trash.begin()
        for installation, key, directory in adoption.scan(
            self._root, file_system=self._file_system
        ):
            self._adopt(installation, key, directory)
        self._healer = asyncio.create_task(self._heal())
        self._in_background(self._bound_orphans())

    def tasks(self) -> Mapping[TaskKey, LocalTask]:
        """Return all held tasks, a live read-only view."""
        return MappingProxyType(self._tasks)

    def accept(self, spec: TaskSpec) -> LocalTask:
        """Store an offered task durably; the same offer again returns what there is.

        Raises ValueError for an installation that cannot be a file name, OSError when the
        disk refuses; nothing is held then. Waits for the disk, a few tenths of a millisecond
        on a local one.
        """
        known = self._tasks.get((spec.task_id, spec.offer))
        if known is not None:
            return known
        path = self._root / directory_name(spec)
        directory = TaskDirectory(path, file_system=self._file_system)
        try:
            directory.store_spec(spec)
        except OSError:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return self._hold(LocalTask((spec.task_id, spec.offer), spec, directory))

    async def launch(self, key: TaskKey, *, cpu_ids: Sequence[int], gpu_ids: Sequence[str]) -> None:
        """Start an accepted task; any other state is left as it is.

        Never raises for a task that cannot be started: it finishes as start_failed.
        """
        task = self._tasks[key]
        if task.state != "accepted":
            return
        self._move(task, "claimed")
        try:
            task.directory.store_order(
                environment=self._environment,
                cpu_ids=cpu_ids,
                gpu_ids=gpu_ids,
                files=self._files() if self._files and task.spec.kind != "script" else None,
            )
            task._asked_at = time.monotonic()
            process = await self._starter.start_sub_agent(task.directory.path)
        except (StartRefused, OSError) as error:
            self._refuse(task, str(error))
        except StartUnknown as error:
            self._logger.warning("start of task %s is unclear: %s", task.directory.name, error)
            self._settle_later(task)
        except asyncio.CancelledError:
            self._settle_later(task)
            raise
        else:
            self._watch(task, Watch(process.pid, process.pidfd))

    def stop_task(self, key: TaskKey, *, reason: str, grace_seconds: float) -> None:
        """Ask for the end of a task's processes; may be repeated, a shorter grace counts."""
        task = self._tasks.get(key)
        if task is None or task.state not in ("claimed", "running"):
            return
        task._pending_stop = (reason, grace_seconds)
        if task.state == "running":
            self._send_stop(task)

    def forget(self, key: TaskKey) -> None:
        """Drop a task that has not started or has finished, with its directory."""
        task = self._tasks.get(key)
        if task is None:
            return
        if task.state not in ("accepted", "finished"):
            raise ValueError(f"task {key} is {task.state} and cannot be forgotten")
        del self._tasks[key], self._names[task.directory.name]
        self._trash.throw(task.directory.path)

    async def close(self) -> None:
        """Let go of everything; tasks go on and are adopted by the next start."""
        if self._closed:
            return
        self._closed = True
        if self._healer is not None:
            self._healer.cancel()
        for job in tuple(self._background):
            job.cancel()
        await asyncio.gather(self._trash.close(), *self._background, return_exceptions=True)
        for task in self._tasks.values():
            self._unwatch(task)
        await self._starter.close()
        self._hints.close()

    # --- adoption -------------------------------------------------------------------

    def _adopt(self, installation: str, key: TaskKey, directory: TaskDirectory) -> None:
        """Take over one directory as its records say."""
        spec = directory.spec()
        if self._installation not in (None, installation) or key in self._tasks:
            self._logger.warning("task %s belongs to another installation", directory.name)
            return
        finding = adoption.judge(directory)
        if spec is None or finding is Finding.EMPTY:
            shutil.rmtree(directory.path, ignore_errors=True)
            return
        task = self._hold(LocalTask(key, spec, directory))
        self._logger.info("task %s found: %s", directory.name, finding.value)
        if finding is not Finding.ACCEPTED:
            task.state = "claimed"
            self._resolve(task, finding)

    def _resolve(self, task: LocalTask, finding: Finding) -> None:
        """Bring a task that was started, by us or a former agent, to where it really is."""
        if finding is Finding.UNCLAIMED:
            try:
                task.directory.abandon()
            except OSError as error:
                # Without a claim of ours a late sub-agent could still begin: ask again.
                self._logger.warning("task %s cannot be claimed: %s", task.directory.name, error)
                self._settle_later(task)
                return
            finding = adoption.judge(task.directory)
        if finding is Finding.HELD:
            claim = task.directory.claim() or Claim()
            pidfd = open_pidfd(ProcessIdentity(claim.pid, claim.start_time, claim.boot_id))
            if pidfd is not None:
                self._watch(task, Watch(claim.pid, pidfd))
                return
        self._in_background(self._end(task))

    async def _heal(self) -> None:
        """Look again at starts whose hint or answer got lost, and at what nobody waits for."""
        strays = Strays()
        while True:
            await asyncio.sleep(HEAL_SECONDS)
            strays.collect(now=time.monotonic())
            for task in tuple(self._tasks.values()):
                self._look_at_run(task)

    async def _bound_orphans(self) -> None:
        """Remove, now and then, what a former installation left behind for too long."""
        while self._installation is not None:
            found = await asyncio.to_thread(
                orphans.find_orphans, self._root, self._installation, now=time.time()
            )
            for one in orphans.doomed(found):
                self._logger.info("task %s of a former server is removed", one.path.name)
                self._trash.throw(one.path)
            await asyncio.sleep(ORPHAN_CHECK_SECONDS)

    def _settle_later(self, task: LocalTask) -> None:
        """Ask the claim whether a start happened, when a sub-agent has had time to take it."""
        loop = asyncio.get_running_loop()
        loop.call_later(SETTLE_SECONDS, lambda: self._resolve(task, adoption.judge(task.directory)))

    # --- life -----------------------------------------------------------------------

    def _hold(self, task: LocalTask) -> LocalTask:
        self._tasks[task.key] = self._names[task.directory.name] = task
        return task

    def _watch(self, task: LocalTask, watch: Watch) -> None:
        """Follow a living sub-agent until it ends."""
        task._watch = watch
        watch.begin(lambda: self._in_background(self._end(task)))
        self._look_at_run(task)
        run = task.directory.run() if task.state == "running" else None
        if run is not None:
            watch.duplicate_pipes(run)

    def _unwatch(self, task: LocalTask) -> None:
        if task._watch is not None:
            task._watch.end()
            task._watch = None

    def _hinted(self, name: str) -> None:
        """Look at what a sub-agent has just written."""
        task = self._names.get(name)
        if task is None:
            return
        self._look_at_run(task)
        if task.state == "running" and not task.unkillable and task.directory.unkillable:
            task.unkillable = True
            self._on_change(task)

    def _look_at_run(self, task: LocalTask) -> None:
        """Move a claimed task on once its script's identity is on disk."""
        run = task.directory.run() if task.state == "claimed" else None
        if run is None:
            return
        if task._watch is not None:
            task._watch.duplicate_pipes(run)
        task.identity, task.started_at = run.identity, run.started_at
        if task._asked_at is not None:
            self.spawn_seconds.add(time.monotonic() - task._asked_at)
        self._move(task, "running")
        self._send_stop(task)

    def _send_stop(self, task: LocalTask) -> None:
        if task._pending_stop is not None:
            reason, grace_seconds = task._pending_stop
            task.directory.request_stop(reason=reason, grace_seconds=grace_seconds)

    async def _end(self, task: LocalTask) -> None:
        """Bring a task without living sub-agent to its end record."""
        self._look_at_run(task)
        if task._watch is not None:
            self._starter.reap(task._watch.pid)
        record = task.directory.exit()
        if record is None:
            record = await self._end_lost(task)
        self._unwatch(task)
        self._finish(task, record)

    async def _end_lost(self, task: LocalTask) -> ExitRecord:
        """Kill what a dead sub-agent left behind and write the end for it."""
        self._logger.warning("task %s lost its supervisor", task.directory.name)
        hopeless_at = time.monotonic() + UNKILLABLE_SECONDS
        left_behind = loss.LostTree(task.directory, task.identity)
        while not await asyncio.to_thread(left_behind.kill_round):
            if time.monotonic() >= hopeless_at and not task.unkillable:
                task.unkillable = True
                self._on_change(task)
            await asyncio.sleep(_SWEEP_SECONDS)
        pipes = dict(task._watch.pipes) if task._watch is not None else {}
        try:
            return await asyncio.to_thread(loss.record_loss, task.directory, task.spec, pipes=pipes)
        except OSError as error:
            # Without the record the next start of the agent comes here again.
            self._logger.error("end of task %s not recorded: %s", task.directory.name, error)
            return ExitRecord(reason="supervisor_lost", finished_at=time.time(), detail=str(error))

    def _refuse(self, task: LocalTask, detail: str) -> None:
        """End a task for which no sub-agent could be started."""
        record = ExitRecord(reason="start_failed", finished_at=time.time(), detail=detail)
        # The disk may be the very reason; nobody is there who could claim the task.
        with contextlib.suppress(OSError):
            task.directory.abandon()
            task.directory.store_exit(record)
        self._finish(task, record)

    def _finish(self, task: LocalTask, record: ExitRecord) -> None:
        task.exit = record
        self._move(task, "finished")

    def _move(self, task: LocalTask, state: HoldState) -> None:
        """Change a task's state; the only place that does and reports it."""
        task.state = state
        self._logger.debug("task %s is %s", task.directory.name, state)
        self._on_change(task)

    # --- chores -----------------------------------------------------------------------

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        job = asyncio.ensure_future(work)
        self._background.add(job)
        job.add_done_callback(self._background.discard)
