"""Level-triggered agreement: what a host holds against what the table says.

What follows from what is in the protocol's tables; here rows are read, moves written and
answers filled. Called for beats that bring the list of held tasks, at least every 30 s,
and when somebody rang. Whatever message was lost, the next round heals it: unanswered
offers are repeated, confirmed ones get their `go`, wished ends are ordered again, ended
ones are forgotten. Tasks the server does not know are left alone, shown as orphans.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from agent_client.protocol.messages import Desired, Hello, Hold, Want
from agent_client.protocol.reconcile import is_canceled_by_loss, judge_absence, judge_hold
from agent_client.protocol.record import Record, Step
from agents import connections, database_clock
from agents.inbox import Beat
from agents.reply import Reply
from tasks.choices import CANCELED, FAILED, STARTING, Reason
from tasks.logs.files import reader
from tasks.models import Task
from tasks.services.endings import Ending, end_tasks
from tasks.services.forgetting import release
from tasks.services.moves import Move, lock_tasks, move_all
from tasks.services.offering import offer_waiting
from tasks.services.records import record_of
from tasks.services.specs import specs_of

REPEAT_OFFER_SECONDS = 3.0
"""A socket delivers within milliseconds; an offer unanswered for this long was lost."""
MISSING_SECONDS = 10.0
"""A running task must be missing in two full lists this far apart to be given up."""
MAX_MISSING = 10_000
_WANTS: dict[Step, Want] = {
    Step.CANCEL: "cancel",
    Step.REVOKE: "revoke",
    Step.FORGET: "forget",
}


class MissingTasks:
    """Running tasks that their host does not hold, and since when; bounded, oldest dropped."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with none."""
        self._clock = clock
        self._since: OrderedDict[tuple[int, int], float] = OrderedDict()

    def is_lost(self, task: Task) -> bool:
        """Note that a task is missing; True once it has been so for MISSING_SECONDS."""
        key = (task.pk, task.offer)
        since = self._since.setdefault(key, self._clock())
        if len(self._since) > MAX_MISSING:
            self._since.popitem(last=False)
        return self._clock() - since >= MISSING_SECONDS

    def found(self, task: Task) -> None:
        """Forget that the task was missing."""
        self._since.pop((task.pk, task.offer), None)


missing = MissingTasks()


@dataclass(slots=True)
class _Round:
    """What one reconciliation of several hosts decided."""

    moves: list[Move] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    offers: list[tuple[Reply, Task]] = field(default_factory=list)
    runs: list[tuple[Reply, Task]] = field(default_factory=list)


def reconcile(beats: Sequence[Beat]) -> None:
    """Compare each host's holds with its rows and add what follows to the answers."""
    # Of several beats in one batch only the last says what the host holds now.
    latest = {beat.principal.agent_id: beat for beat in beats}
    tasks = _tasks_of(latest.values())
    expected: dict[str, list[Task]] = defaultdict(list)
    for task in tasks.values():
        expected[task.agent_id or ""].append(task)
    round_ = _Round()
    for agent_id, beat in latest.items():
        _judge_host(round_, beat, tasks, expected[agent_id])
    _carry_out(round_, latest)


def _judge_host(
    round_: _Round, beat: Beat, tasks: Mapping[int, Task], expected: Iterable[Task]
) -> None:
    """Decide about all that one host holds, and all that it should hold."""
    holds = beat.holds or ()
    for hold in holds:
        _judge_hold(round_, beat, hold, tasks.get(hold.task_id))
    held = {hold.task_id for hold in holds}
    for task in expected:
        if task.pk not in held:
            _judge_absence(round_, beat, task)


def _carry_out(round_: _Round, beats: Mapping[str, Beat]) -> None:
    """Write what was decided, put it into the answers, and offer what fits now."""
    replies = {agent_id: beat.reply for agent_id, beat in beats.items()}
    move_all(round_.moves)
    _say(round_)
    end_tasks(round_.endings, replies=replies)
    for tenant_id in sorted({beat.principal.tenant_id for beat in beats.values()}):
        offer_waiting(tenant_id, replies=replies)


def _tasks_of(beats: Iterable[Beat]) -> dict[int, Task]:
    """Return the tasks that the hosts hold or should hold, locked."""
    beats = list(beats)
    booked = Task.objects.occupying().filter(
        tenant_id__in={beat.principal.tenant_id for beat in beats},
        agent_id__in=[beat.principal.agent_id for beat in beats],
    )
    ids = set(booked.values_list("pk", flat=True))
    for beat in beats:
        ids.update(hold.task_id for hold in beat.holds or ())
    return lock_tasks(ids)


def _judge_hold(round_: _Round, beat: Beat, hold: Hold, task: Task | None) -> None:
    """Decide about one task that a host holds."""
    record = record_of(task, beat.principal, hold.offer)
    verdict = judge_hold(record, hold.state)
    if task is None or record is None:
        return
    if record.is_own:
        missing.found(task)
    want = _WANTS.get(verdict.step)
    if want is not None:
        wish = Desired(task_id=task.pk, offer=hold.offer, want=want, reason=verdict.reason)
        beat.reply.want(wish)
    elif verdict.step is Step.RELEASE:
        release(task, beat.reply, log_bytes=max(task.log_bytes, 0))
    elif verdict.step is Step.COMPARE_LOG:
        _compare_log(beat.reply, hold, task)
    elif verdict.step in (Step.COMMIT, Step.RUN):
        _start_accepted(round_, beat, task, verdict.step)


def _start_accepted(round_: _Round, beat: Beat, task: Task, step: Step) -> None:
    """Answer a confirmed offer whose confirmation or `go` was lost."""
    if step is Step.COMMIT:
        round_.moves.append(Move(task, STARTING, "accepted", str(beat.principal)))
    if not _was_told_to_go(beat.reply, task):
        beat.reply.want(Desired(task_id=task.pk, offer=task.offer, want="run"))


def _compare_log(reply: Reply, hold: Hold, task: Task) -> None:
    """Say where the log goes on when the host has bytes that are not stored."""
    if not hold.log_bytes:
        return
    stored = reader(task.pk).size()
    if stored != hold.log_bytes:
        reply.log_next(task.pk, task.offer, stored)


def _judge_absence(round_: _Round, beat: Beat, task: Task) -> None:
    """Decide about a task that its host should hold but does not."""
    record = record_of(task, beat.principal, task.offer)
    if record is None:
        return
    step = judge_absence(
        record, is_full_list=_is_full_list(beat), is_unheard=_is_unheard(beat, task)
    )
    if step is Step.OFFER:
        round_.offers.append((beat.reply, task))
    elif step is Step.RUN and not _was_told_to_go(beat.reply, task):
        round_.runs.append((beat.reply, task))
    elif step is Step.MISS and missing.is_lost(task):
        missing.found(task)
        round_.endings.append(_loss_of(task, record, str(beat.principal)))


def _loss_of(task: Task, record: Record, actor: str) -> Ending:
    """Return the end of a task of which its host knows nothing any more."""
    if is_canceled_by_loss(record):
        return Ending(task, CANCELED, Reason.USER_CANCEL, actor)
    return Ending(task, FAILED, Reason.SUPERVISOR_LOST, actor)


def _was_told_to_go(reply: Reply, task: Task) -> bool:
    """Return whether the answer being made says `go` already."""
    return any(ref.task_id == task.pk for ref in reply.started)


def _is_full_list(beat: Beat) -> bool:
    """Return whether the host itself just said all it holds."""
    return beat.heartbeat is not None and getattr(beat.heartbeat, "holds", None) is not None


def _is_unheard(beat: Beat, task: Task) -> bool:
    """Return whether an offer has to be sent (again).

    To polled hosts at once; on a socket when it is late, or at its beginning: what was
    sent through the one before may have died with it.
    """
    if beat.heartbeat is None:
        return True  # Another process rang: it had no socket to send the offer through.
    if isinstance(beat.heartbeat, Hello):
        return True
    if not connections.is_connected(beat.principal.agent_id) or task.offered_at is None:
        return True
    # An offer from the future was made before the clock was set back: it may be old.
    age = timezone.now() - task.offered_at
    return not -database_clock.TOLERANCE <= age <= timedelta(seconds=REPEAT_OFFER_SECONDS)


def _say(round_: _Round) -> None:
    """Add the repeated offers and orders, with the scripts read for all at once."""
    specs = specs_of(task.pk for _reply, task in [*round_.offers, *round_.runs])
    for reply, task in round_.offers:
        reply.offer(specs[task.pk])
    for reply, task in round_.runs:
        reply.want(Desired(task_id=task.pk, offer=task.offer, want="run", spec=specs[task.pk]))
