"""Agreement between server and host, level-triggered: the tables of both sides.

The server's table: what its record says against what the host holds, or does not hold.
The host's table: what is ordered against what it has. Both are total, so any message may
be lost, repeated or late, and the next round heals it. Pure: no sockets, clock or files.
"""

from __future__ import annotations

import enum
from typing import Literal, NamedTuple

from agent_client.protocol.messages import HoldState
from agent_client.protocol.record import UNDER_WAY, Record, Step

# --- the server's side ------------------------------------------------------------------


class Verdict(NamedTuple):
    """A step and, for a stop, its reason."""

    step: Step
    reason: str = ""


def judge_hold(record: Record | None, state: HoldState) -> Verdict:
    """Return what is to be done about a task that a host holds.

    A task nobody knows is an orphan: it is shown and never stopped by itself.
    """
    if record is None:
        return Verdict(Step.NOTHING)
    if not record.is_own:
        return _let_go(state, "agent_lost")
    if record.phase == "ended":
        return _judge_ended(record, state)
    if record.phase == "canceling":
        is_over = state == "finished"
        return Verdict(Step.NOTHING) if is_over else Verdict(Step.CANCEL, "user_cancel")
    if state == "accepted":
        return Verdict(Step.COMMIT if record.phase == "offered" else Step.RUN)
    return Verdict(Step.COMPARE_LOG)


def judge_absence(record: Record, *, is_full_list: bool, is_unheard: bool) -> Step:
    """Return what is to be done about a task that its host should hold but does not.

    is_full_list says that the host itself just listed all it has: what it said earlier may
    be older than what it was told since. is_unheard says that an offer has to be sent again.
    """
    if record.phase == "offered":
        return Step.OFFER if is_unheard else Step.NOTHING
    if not is_full_list or record.phase not in UNDER_WAY:
        return Step.NOTHING
    # Starting: the go was lost, or the host's state. It knows which, and starts or says so.
    return Step.RUN if record.phase == "starting" else Step.MISS


def is_canceled_by_loss(record: Record) -> bool:
    """Return whether the loss of a task is what was wished for: it never started."""
    return record.phase == "canceling" and not record.has_started


def _judge_ended(record: Record, state: HoldState) -> Verdict:
    """Return what a host does with a task that has its final state."""
    if state == "finished":
        return Verdict(Step.RELEASE)
    return _let_go(state, "agent_lost" if record.is_given_up else "user_cancel")


def _let_go(state: HoldState, reason: str) -> Verdict:
    """Return how a host gets rid of an offer that is void."""
    steps: dict[HoldState, Step] = {"accepted": Step.REVOKE, "finished": Step.FORGET}
    return Verdict(steps.get(state, Step.CANCEL), reason)


# --- the host's side --------------------------------------------------------------------

Order = Literal["offer", "go", "run", "cancel", "forget", "revoke"]
"""What the server says about one offer; `run` is a `go` that must be answered."""
Local = Literal["unknown", "gone", "accepted", "withdrawn", "claimed", "running", "finished"]
"""What a host has of an offer: `gone` was let go by this process, `withdrawn` is accepted
and must not start any more."""


class Action(enum.Enum):
    """What a host does about an order."""

    NOTHING = "nothing"
    BOOK = "book and store it, or refuse"
    CONFIRM = "say again that it is accepted"
    START = "start it"
    REPORT_LOST = "say that it is not here although it should be"
    END_UNSTARTED = "end it: it has no process"
    STOP = "stop its processes"
    STOP_AND_LET_GO = "stop its processes, then delete it"
    LET_GO = "delete it"
    LET_GO_WHEN_STORED = "delete it once its log is stored"


_ACTIONS: dict[tuple[Order, Local], Action] = {
    # An offer that this process let go was void: a copy of it must not be taken again.
    ("offer", "unknown"): Action.BOOK,
    ("offer", "accepted"): Action.CONFIRM,
    ("offer", "withdrawn"): Action.CONFIRM,
    ("go", "accepted"): Action.START,
    ("run", "accepted"): Action.START,
    ("run", "unknown"): Action.REPORT_LOST,
    ("cancel", "accepted"): Action.END_UNSTARTED,
    ("cancel", "withdrawn"): Action.END_UNSTARTED,
    ("cancel", "claimed"): Action.STOP,
    ("cancel", "running"): Action.STOP,
    ("forget", "accepted"): Action.LET_GO,
    ("forget", "withdrawn"): Action.LET_GO,
    ("forget", "finished"): Action.LET_GO_WHEN_STORED,
    ("revoke", "accepted"): Action.LET_GO,
    ("revoke", "withdrawn"): Action.LET_GO,
    ("revoke", "claimed"): Action.STOP_AND_LET_GO,
    ("revoke", "running"): Action.STOP_AND_LET_GO,
    ("revoke", "finished"): Action.LET_GO_WHEN_STORED,
}


def action_for(order: Order, local: Local) -> Action:
    """Return what a host does about an order, given what it has of the offer."""
    return _ACTIONS.get((order, local), Action.NOTHING)
