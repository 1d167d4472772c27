"""The life of a task on this host, from the server's offer until the server says forget.

Offer: book, store durably, answer `accepted`. `go`: start. End: when the last byte of the
log is out, `result`. Forget: when the server has the result and all of the log. Every
step may be repeated, by the server or after a restart of the agent, and has its effect
once: what a task is, its directory says, and a message is made from that again.
Nothing starts before `go`. Owns the ledger of bookings. Runs on the loop's thread.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from agent_client.booking import Ledger, TaskKey
from agent_client.catalogue import announce
from agent_client.errors import Rejected
from agent_client.log_shipping import LogShipper
from agent_client.policy import Policy
from agent_client.protocol.messages import CancelOrder, Desired, Hold, TaskRef, TaskSpec
from agent_client.protocol.reconcile import Action, Local, Order, action_for
from agent_client.protocol.session import Session
from agent_client.run_reports import RunReports

if TYPE_CHECKING:
    from agent_client.tasks.supervisor import LocalTask, Supervisor

logger = logging.getLogger(__name__)

MAX_REMEMBERED = 4096
"""Offers that this process has let go; a late `run` for one of them is no loss."""


class Runs:
    """All tasks of this host and what the server was told about them."""

    def __init__(
        self,
        *,
        supervisor: Supervisor,
        ledger: Ledger,
        session: Session,
        logs: LogShipper,
        reports: RunReports,
        policy: Policy | None = None,
        max_execution_seconds: float | None = None,
    ) -> None:
        """policy and max_execution_seconds are the host's own limits on every task."""
        self._supervisor = supervisor
        self._ledger = ledger
        self._session = session
        self._logs = logs
        self._reports = reports
        self._policy = policy or Policy()
        self._max_execution_seconds = max_execution_seconds
        self._launches: dict[TaskKey, asyncio.Task[None]] = {}
        self._launched: set[TaskKey] = set()
        self._never_started: set[TaskKey] = set()
        self._forget_wanted: set[TaskKey] = set()
        self._said: set[tuple[str, TaskKey]] = set()
        self._gone: OrderedDict[TaskKey, None] = OrderedDict()

    # --- what is there -----------------------------------------------------------

    def holds(self) -> tuple[Hold, ...]:
        """Return what the server is told that this host has."""
        return tuple(
            Hold(
                task_id=key[0], offer=key[1], state=task.state, log_bytes=self._logs.log_bytes(key)
            )
            for key, task in self._supervisor.tasks().items()
        )

    def limit(self, policy: Policy, *, max_execution_seconds: float | None) -> None:
        """Hold offers from now on to these limits; what was accepted keeps its own."""
        self._policy = policy
        self._max_execution_seconds = max_execution_seconds

    @property
    def running(self) -> int:
        """Return how many scripts run or are about to."""
        tasks = self._supervisor.tasks().values()
        return sum(task.state in ("claimed", "running") for task in tasks)

    @property
    def transfers(self) -> int:
        """Return how many files are moved at this moment."""
        tasks = self._supervisor.tasks().values()
        return sum(task.state == "running" and task.spec.kind != "script" for task in tasks)

    def adopt(self) -> None:
        """Book again what was accepted before this start, and say so again.

        What runs or has ended is reported by the supervisor through `changed`.
        """
        tasks = list(self._supervisor.tasks().items())
        # Known cores first: a task that is guessed some must not be guessed those of another.
        for _key, task in sorted(tasks, key=lambda pair: not _affinity(pair[1])):
            if task.state != "finished":
                self._rebook(task)
        for key, task in tasks:
            if task.state == "accepted":
                self._reports.accepted(key)

    # --- what the server says ----------------------------------------------------

    def offers(self, specs: Iterable[TaskSpec]) -> None:
        """Accept or refuse each offer; one that is known already is answered again."""
        for spec in specs:
            action = self._action("offer", spec)
            if action is Action.BOOK:
                self._offer(spec)
            elif action is Action.CONFIRM:
                self._reports.accepted(_key(spec))

    def go(self, refs: Iterable[TaskRef]) -> None:
        """Start accepted offers; anything else is started already or not here."""
        for ref in refs:
            self._carry_out(self._action("go", ref), _key(ref))

    def revoked(self, refs: Iterable[TaskRef]) -> None:
        """Let void offers go; one that runs all the same is ended first."""
        for ref in refs:
            self._carry_out(self._action("revoke", ref), _key(ref), reason="agent_lost")

    def cancel(self, orders: Iterable[CancelOrder]) -> None:
        """Stop tasks with all their processes; one that never started just ends."""
        for order in orders:
            self._carry_out(
                self._action("cancel", order),
                _key(order),
                reason=order.reason,
                grace_seconds=order.grace_seconds,
            )

    def forget(self, refs: Iterable[TaskRef]) -> None:
        """Delete ended tasks, each once its log is stored: the server may ask too early."""
        for ref in refs:
            self._carry_out(self._action("forget", ref), _key(ref))

    def reconcile(self, desired: Iterable[Desired]) -> None:
        """Bring what this host has in line with what the server wants."""
        for wish in desired:
            if wish.log_next is not None:
                self._logs.stored(_key(wish), wish.log_next)
            is_void = wish.want == "revoke"
            self._carry_out(
                self._action(wish.want, wish),
                _key(wish),
                reason="agent_lost" if is_void else wish.reason or "user_cancel",
                grace_seconds=wish.grace_seconds,
            )

    # --- what the supervisor and the log say ----------------------------------------

    def changed(self, task: LocalTask) -> None:
        """Tell the server what became of a task; called at every change of its state."""
        is_new = task.key in self._launched
        if task.state == "running":
            self._rebook(task)
            self._logs.follow(task.key, task.directory.output, is_new=is_new)
            self._once("started", task, self._reports.started)
            if task.unkillable:
                self._once("unkillable", task, self._reports.unkillable)
        elif task.state == "finished":
            self._ledger.release(task.key)
            self._logs.follow(task.key, task.directory.output, is_new=is_new)
            self._logs.finish(task.key)
            self._once("finished", task, _announce_end)

    def shipped(self, key: TaskKey, log_bytes: int) -> None:
        """Report the end of a task whose last byte of output is out."""
        task = self._supervisor.tasks().get(key)
        if task is not None:
            self._reports.ended(task, log_bytes)

    def log_stored(self, key: TaskKey) -> None:
        """Delete a task whose log is stored, if the server has asked for it."""
        task = self._supervisor.tasks().get(key)
        if key in self._forget_wanted and task is not None and task.state == "finished":
            self._let_go(key)

    async def close(self) -> None:
        """Wait for the starts that are under way; what runs goes on."""
        await asyncio.gather(*self._launches.values(), return_exceptions=True)

    # --- steps ------------------------------------------------------------------------

    def _local(self, key: TaskKey) -> Local:
        """Return what this host has of an offer, in the terms of the protocol's table."""
        task = self._supervisor.tasks().get(key)
        if task is None:
            return "gone" if key in self._gone else "unknown"
        if task.state == "accepted" and key in self._never_started:
            return "withdrawn"
        return task.state

    def _action(self, order: Order, ref: TaskRef) -> Action:
        """Return what the order means for what is here."""
        return action_for(order, self._local(_key(ref)))

    def _carry_out(
        self,
        action: Action,
        key: TaskKey,
        *,
        reason: str = "user_cancel",
        grace_seconds: float | None = None,
    ) -> None:
        """Do what the table says about one offer."""
        if action is Action.START:
            self._start(key)
        elif action is Action.REPORT_LOST:
            self._report_lost(key)
        elif action is Action.END_UNSTARTED:
            self._end_unstarted(key, reason=reason)
        elif action is Action.LET_GO:
            self._let_go(key)
        elif action is Action.LET_GO_WHEN_STORED:
            self._forget_wanted.add(key)
            if self._logs.is_stored(key):
                self._let_go(key)
        elif action in (Action.STOP, Action.STOP_AND_LET_GO):
            if action is Action.STOP_AND_LET_GO:
                self._forget_wanted.add(key)
            self._stop(key, reason=reason, grace_seconds=grace_seconds)

    def _offer(self, spec: TaskSpec) -> None:
        """Book and store one new offer, or refuse it."""
        key = _key(spec)
        try:
            self._policy.check_work("scripts" if spec.kind == "script" else "files")
            # What moves files is our own program, held to the policy's directories instead.
            if spec.kind == "script" or spec.run_as:
                self._policy.check_run_as(spec.run_as)
            self._ledger.book(spec)
            self._store(spec)
        except Rejected as error:
            self._ledger.release(key)
            self._reports.refused(spec, error)
        else:
            self._reports.accepted(key)

    def _rebook(self, task: LocalTask) -> None:
        """Book what an adopted task has; one that was started here keeps its booking."""
        if task.key in self._launched:
            return
        known = _affinity(task)
        # A guess made before the script could be asked gives way to what it really has.
        if known or self._ledger.get(task.key) is None:
            self._ledger.restore(task.spec, cpu_ids=known)

    def _store(self, spec: TaskSpec) -> None:
        """Write the offer durably; raises Rejected when the disk does not take it."""
        limit = self._max_execution_seconds
        if limit is not None and (spec.timeout_seconds is None or spec.timeout_seconds > limit):
            spec = msgspec.structs.replace(spec, timeout_seconds=limit)
        try:
            self._supervisor.accept(spec)
        except OSError as error:
            raise Rejected(f"{error.strerror or error}", code="disk_full") from error
        except ValueError as error:
            raise Rejected(str(error), code="offer_invalid") from error

    def _once(self, fact: str, task: LocalTask, say: Callable[[LocalTask], None]) -> None:
        """Say a fact about a task the first time only; the supervisor may repeat itself."""
        if (fact, task.key) not in self._said:
            self._said.add((fact, task.key))
            say(task)

    def _start(self, key: TaskKey) -> None:
        """Begin the start of an accepted task, unless it is under way."""
        if key not in self._launches:
            self._launched.add(key)
            launch = asyncio.create_task(self._launch(key))
            self._launches[key] = launch
            launch.add_done_callback(partial(self._launch_ended, key))

    async def _launch(self, key: TaskKey) -> None:
        """Start one task; how that went, the supervisor reports through `changed`."""
        booking = self._ledger.get(key)
        await self._supervisor.launch(
            key,
            cpu_ids=booking.cpu_ids if booking else (),
            gpu_ids=booking.gpu_ids if booking else (),
        )

    def _withdraw_start(self, key: TaskKey) -> None:
        """Take back a `go` that came in the same breath: its start has not begun yet.

        A start that has begun has moved its task on from `accepted`.
        """
        launch = self._launches.get(key)
        if launch is not None:
            launch.cancel()

    def _launch_ended(self, key: TaskKey, launch: asyncio.Task[None]) -> None:
        """Forget a start that is over; a defect in it must be seen."""
        self._launches.pop(key, None)
        if not launch.cancelled() and launch.exception() is not None:
            logger.error("task %s.%s could not be started", *key, exc_info=launch.exception())

    def _stop(self, key: TaskKey, *, reason: str, grace_seconds: float | None) -> None:
        """Stop a task's processes; without a grace of the order the task's own counts."""
        if grace_seconds is None:
            grace_seconds = self._supervisor.tasks()[key].spec.grace_seconds
        announce(logger, "task_canceling", task_id=key[0], reason=reason)
        self._supervisor.stop_task(key, reason=reason, grace_seconds=grace_seconds)

    def _report_lost(self, key: TaskKey) -> None:
        """Report the end of a task that should be here and is not."""
        logger.error("task %s.%s should run here and is not known", *key)
        detail = "The host lost its state."
        self._reports.ended_unstarted(key, reason="supervisor_lost", detail=detail)

    def _end_unstarted(self, key: TaskKey, *, reason: str) -> None:
        """End an accepted task that the server has committed and that must not start now."""
        self._never_started.add(key)
        self._withdraw_start(key)
        self._ledger.release(key)
        self._reports.ended_unstarted(key, reason=reason, detail="It had not started.")

    def _let_go(self, key: TaskKey) -> None:
        """Delete a task here: its booking, its messages, its log, its directory."""
        self._withdraw_start(key)
        self._ledger.release(key)
        self._session.drop_task(*key)
        self._logs.drop(key)
        self._forget_wanted.discard(key)
        self._never_started.discard(key)
        self._launched.discard(key)
        self._said -= {(fact, key) for fact in ("started", "unkillable", "finished")}
        self._supervisor.forget(key)
        self._gone[key] = None
        while len(self._gone) > MAX_REMEMBERED:
            self._gone.popitem(last=False)


def _key(ref: TaskRef) -> TaskKey:
    return ref.task_id, ref.offer


def _affinity(task: LocalTask) -> tuple[int, ...]:
    """Return the cores an adopted script is pinned to; none when it cannot be asked."""
    if task.identity is None or not hasattr(os, "sched_getaffinity"):
        return ()
    try:
        return tuple(sorted(os.sched_getaffinity(task.identity.pid)))
    except OSError:
        return ()


def _announce_end(task: LocalTask) -> None:
    """Write the end of a task to the agent's log."""
    record = task.exit
    announce(
        logger,
        "task_finished",
        task_id=task.key[0],
        reason=record.reason if record else "",
        exit_code=record.exit_code if record else None,
    )
