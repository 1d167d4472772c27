"""What the server's record of a task makes of each message about it.

Pure tables: the record as one host may see it goes in, the one step to take comes out.
They decide every message of a host, whatever was lost, repeated or overtaken: a message
about an offer that is not the record's own changes nothing (R3, R9). Reads and writes
nothing; `tasks/services/runs.py` carries the steps out.
"""

from __future__ import annotations

import enum
from typing import Literal, NamedTuple

Phase = Literal["queued", "offered", "starting", "running", "canceling", "ended"]
"""Where a task is: `queued` stands for all that belongs to no host yet."""

UNDER_WAY: frozenset[Phase] = frozenset({"starting", "running", "canceling"})
"""Phases after `go`: from here only the host's word, or its loss, ends the task."""


class Record(NamedTuple):
    """A task as the server has it, seen from one host and one offer."""

    phase: Phase
    is_own: bool
    """Whether the record names this host and this offer."""
    has_started: bool = False
    is_given_up: bool = False
    """Whether it ended because its host was thought lost."""


class Step(enum.Enum):
    """What the server does about a message or a held task."""

    NOTHING = "nothing"
    # --- writes to the record ---
    COMMIT = "confirm the offer and let it start"
    WITHDRAW = "put the task back into the queue"
    NOTE_RUNNING = "the script runs"
    NOTE_START = "note when the script started; its cancel is under way"
    END = "write the final state"
    NOTE_LATE = "keep a result that came after the task was given up"
    # --- words to the host ---
    OFFER = "repeat the offer"
    GO = "let it start"
    RUN = "let it start, or learn that the host lost it"
    CANCEL = "stop it"
    REVOKE = "the offer is void"
    FORGET = "delete it"
    RELEASE = "delete it once its log is stored"
    COMPARE_LOG = "say where the log goes on"
    MISS = "give it up when it stays missing"


def on_accepted(record: Record | None) -> Step:
    """Return what follows when a host confirms an offer; may be repeated."""
    if record is None or not record.is_own:
        return Step.REVOKE
    steps: dict[Phase, Step] = {
        "offered": Step.COMMIT,
        "starting": Step.GO,  # Repeated: the first answer was lost.
        "running": Step.GO,
        "canceling": Step.CANCEL,
    }
    return steps.get(record.phase, Step.REVOKE)


def on_refused(record: Record | None) -> Step:
    """Return what follows when a host does not take an offer."""
    is_open = record is not None and record.is_own and record.phase == "offered"
    return Step.WITHDRAW if is_open else Step.NOTHING


def on_started(record: Record | None) -> Step:
    """Return what follows when a script runs."""
    if record is None or not record.is_own:
        return Step.NOTHING
    if record.phase == "starting":
        return Step.NOTE_RUNNING
    is_news = record.phase == "canceling" and not record.has_started
    return Step.NOTE_START if is_news else Step.NOTHING


def on_result(record: Record | None) -> Step:
    """Return what follows when a task has ended on its host.

    A host must not forget what has no final state, and a task nobody knows is an orphan,
    say of a restored database: its host keeps the only record of it.
    """
    if record is None:
        return Step.NOTHING
    if not record.is_own:
        return Step.FORGET
    if record.phase in UNDER_WAY:
        return Step.END
    if record.phase != "ended":
        return Step.NOTHING
    return Step.NOTE_LATE if record.is_given_up else Step.RELEASE
