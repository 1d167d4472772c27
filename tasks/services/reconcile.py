"""Level-triggered agreement: what a host holds against what the table says.

Called for beats that bring the list of held tasks, at least every 30 s, and when somebody
rang. Whatever message was lost, the next round heals it: unanswered offers are repeated,
confirmed ones get their `go`, wished ends are ordered again, ended ones are forgotten.
Tasks the server does not know are left alone: they are shown as orphans, never stopped.
"""

from __future__ import annotations

import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from django.utils import timezone

from agent_client.protocol.messages import Desired, Hold, Want
from agents import connections
from agents.inbox import AgentPrincipal, Beat
from agents.reply import Reply
from tasks.choices import CANCELED, CANCELING, FAILED, OFFERED, RUNNING, STARTING, Reason
from tasks.logs.files import reader
from tasks.models import Task
from tasks.services.endings import Ending, end_tasks
from tasks.services.forgetting import release
from tasks.services.moves import Move, lock_tasks, move_all
from tasks.services.offering import offer_waiting
from tasks.services.runs import belongs
from tasks.services.specs import specs_of

REPEAT_OFFER_SECONDS = 3.0
"""A socket delivers within milliseconds; an offer unanswered for this long was lost."""
MISSING_SECONDS = 10.0
"""A running task must be missing in two full lists this far apart to be given up."""
MAX_MISSING = 10_000


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
    principal, reply = beat.principal, beat.reply
    if task is None or task.tenant_id != principal.tenant_id:
        return  # An orphan: shown by the agents page, never stopped by itself.
    if not belongs(task, principal, hold.offer):
        _let_go(reply, hold, reason=Reason.AGENT_LOST)
        return
    missing.found(task)
    if task.is_final:
        _close(reply, hold, task)
    elif task.state == CANCELING:
        if hold.state != "finished":
            _want(reply, task, "cancel", reason=Reason.USER_CANCEL)
    elif hold.state == "accepted":
        _start_accepted(round_, reply, principal, task)
    else:
        _compare_log(reply, hold, task)


def _start_accepted(round_: _Round, reply: Reply, principal: AgentPrincipal, task: Task) -> None:
    """Answer a confirmed offer whose confirmation or `go` was lost."""
    if task.state == OFFERED:
        round_.moves.append(Move(task, STARTING, "accepted", str(principal)))
    if not _was_told_to_go(reply, task):
        _want(reply, task, "run")


def _close(reply: Reply, hold: Hold, task: Task) -> None:
    """Tell a host what to do with a task that has its final state."""
    if hold.state == "finished":
        release(task, reply, log_bytes=max(task.log_bytes, 0))
    elif task.reason == Reason.AGENT_LOST:
        _let_go(reply, hold, reason=Reason.AGENT_LOST)
    else:
        _let_go(reply, hold, reason=Reason.USER_CANCEL)


def _let_go(reply: Reply, hold: Hold, *, reason: str) -> None:
    """End whatever a host still has of an offer that is void."""
    ends: dict[str, Want] = {"accepted": "revoke", "finished": "forget"}
    want = ends.get(hold.state, "cancel")
    reply.want(Desired(task_id=hold.task_id, offer=hold.offer, want=want, reason=str(reason)))


def _compare_log(reply: Reply, hold: Hold, task: Task) -> None:
    """Say where the log goes on when the host has bytes that are not stored."""
    if not hold.log_bytes:
        return
    stored = reader(task.pk).size()
    if stored != hold.log_bytes:
        reply.log_next(task.pk, task.offer, stored)


def _judge_absence(round_: _Round, beat: Beat, task: Task) -> None:
    """Decide about a task that its host should hold but does not."""
    if task.state == OFFERED:
        if _is_unheard(beat, task):
            round_.offers.append((beat.reply, task))
    elif not _is_full_list(beat):
        return  # What it said earlier may be older than what it was told since.
    elif task.state == STARTING:
        # The go was lost, or the agent's state: it knows which, and starts or says so.
        if not _was_told_to_go(beat.reply, task):
            round_.runs.append((beat.reply, task))
    elif task.state in (RUNNING, CANCELING) and missing.is_lost(task):
        missing.found(task)
        round_.endings.append(_loss_of(task, beat))


def _loss_of(task: Task, beat: Beat) -> Ending:
    """Return the end of a task of which its host knows nothing any more.

    One that is to be canceled and never started has got what was wished for.
    """
    if task.state == CANCELING and task.start_time is None:
        return Ending(task, CANCELED, Reason.USER_CANCEL, str(beat.principal))
    return Ending(task, FAILED, Reason.SUPERVISOR_LOST, str(beat.principal))


def _was_told_to_go(reply: Reply, task: Task) -> bool:
    """Return whether the answer being made says `go` already."""
    return any(ref.task_id == task.pk for ref in reply.started)


def _is_full_list(beat: Beat) -> bool:
    """Return whether the host itself just said all it holds."""
    return beat.heartbeat is not None and getattr(beat.heartbeat, "holds", None) is not None


def _is_unheard(beat: Beat, task: Task) -> bool:
    """Return whether an offer has to be sent (again): polled hosts at once, others if late."""
    if beat.heartbeat is None:
        return True  # Another process rang: it had no socket to send the offer through.
    if not connections.is_connected(beat.principal.agent_id) or task.offered_at is None:
        return True
    return timezone.now() - task.offered_at > timedelta(seconds=REPEAT_OFFER_SECONDS)


def _want(reply: Reply, task: Task, want: Want, *, reason: str = "") -> None:
    """Say what is wanted for a task that the host holds."""
    reply.want(Desired(task_id=task.pk, offer=task.offer, want=want, reason=str(reason)))


def _say(round_: _Round) -> None:
    """Add the repeated offers and orders, with the scripts read for all at once."""
    specs = specs_of(task.pk for _reply, task in [*round_.offers, *round_.runs])
    for reply, task in round_.offers:
        reply.offer(specs[task.pk])
    for reply, task in round_.runs:
        reply.want(Desired(task_id=task.pk, offer=task.offer, want="run", spec=specs[task.pk]))
