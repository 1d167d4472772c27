"""Compares three records: what the client was told, what the ledger says, what the server shows.

Pure. A violation names the guarantee that was broken and the task. What the product does
not promise is no violation, and each case of it is written out here: only for the very
tasks that a fault has hit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from agent_client.protocol.frames import MAX_PAYLOAD_BYTES

FINAL = frozenset({"completed", "failed", "canceled"})
LOSSES = frozenset({"supervisor_lost", "host_reboot"})
"""Ends of tasks whose supervisor died with nobody left to see the exit code."""
READ_BYTES = MAX_PAYLOAD_BYTES
"""What a supervisor may have read and not yet written when it was killed."""


class Violation(NamedTuple):
    """One broken guarantee; task 0 stands for the installation."""

    guarantee: str
    task_id: int
    detail: str = ""


@dataclass(frozen=True)
class Shown:
    """One task after the fault: as the server shows it, and what its database says."""

    status: str
    reason: str
    stored: str
    """The status in the database."""
    ends: tuple[str, ...]
    """The kinds of its final events."""
    log: bytes
    expected_log: bytes
    truncated_bytes: int = 0


@dataclass
class Excuses:
    """What the faults really did, task by task: for all others nothing is excused."""

    supervisor_killed: set[int] = field(default_factory=set)
    """Their exit code may be unknown, and one read of their output be missing."""
    start_hindered: set[int] = field(default_factory=set)
    """They may have failed to start; then they must not have run."""
    starts_lost: int = 0
    """Of how many others, at most, the start may have been lost with an agent or a zygote."""
    given_up: set[int] = field(default_factory=set)
    """Their host was silent for longer than they wait."""
    cuts_allowed: bool = False
    """Whether a disk refused output: it may be cut, which is then counted exactly."""


@dataclass
class Evidence:
    """Everything that is known when the fault is over and every deadline has passed."""

    accepted: Iterable[int]
    shown: Mapping[int, Shown]
    starts: Mapping[int, int]
    ends: Mapping[int, int]
    stored: Iterable[int] = ()
    """Every task in the database."""
    alive: Mapping[int, Iterable[int]] = field(default_factory=dict)
    """Processes of each task that still live although it has ended."""
    canceled: frozenset[int] = frozenset()
    """Tasks that somebody asked to cancel."""
    changed: Iterable[int] = ()
    """Tasks whose stored end is not what it was when they were judged before."""
    excuses: Excuses = field(default_factory=Excuses)


def violations(evidence: Evidence) -> list[Violation]:
    """Return every broken guarantee, in the order of the tasks."""
    told = set(evidence.accepted)
    found: list[Violation] = []
    for task_id in sorted(told):
        shown = evidence.shown.get(task_id)
        if shown is None:
            found.append(Violation("lost", task_id, "the server does not know it"))
            continue
        found += [Violation(name, task_id, text) for name, text in _judge(task_id, shown, evidence)]
    known = {*evidence.stored, *evidence.starts}
    found += [Violation("unknown_task", one, "no client knows it") for one in sorted(known - told)]
    found += [Violation("final_state_changed", one) for one in sorted(evidence.changed)]
    return found + _judge_lost_starts(evidence)


def _judge(task_id: int, shown: Shown, evidence: Evidence) -> Iterable[tuple[str, str]]:
    """Yield (guarantee, detail) for everything wrong with one task."""
    starts, ends = evidence.starts.get(task_id, 0), evidence.ends.get(task_id, 0)
    if starts > 1:
        yield "started_twice", f"{starts} starts"
    if shown.stored != shown.status:
        yield "states_differ", f"shown as {shown.status}, stored as {shown.stored}"
    if shown.status not in FINAL:
        yield "stuck", f"still {shown.status}"
        return
    if len(shown.ends) != 1:
        yield "not_one_final_state", f"{len(shown.ends)} final events"
    elif shown.ends[0] != shown.status:
        yield "states_differ", f"shown as {shown.status}, ended by {shown.ends[0]}"
    if alive := sorted(evidence.alive.get(task_id, ())):
        yield "process_left", f"pids {alive}"
    is_killed = task_id in evidence.excuses.supervisor_killed
    yield from _judge_end(task_id, shown, starts, ends, evidence)
    wrong = _judge_log(shown, has_lost_a_read=is_killed and shown.reason in LOSSES)
    yield from [("bytes_wrong", wrong)] if wrong else _judge_cut(shown, evidence.excuses)


def _judge_end(
    task_id: int, shown: Shown, starts: int, ends: int, evidence: Evidence
) -> Iterable[tuple[str, str]]:
    """Yield what is wrong with how the task ended, against what the script says."""
    excuses = evidence.excuses
    may_not_start = task_id in excuses.start_hindered | excuses.supervisor_killed
    if shown.status == "completed":
        if not (starts and ends):
            yield "false_end", f"completed with {starts} starts and {ends} ends"
    elif shown.status == "canceled":
        if task_id not in evidence.canceled:
            yield "false_end", "canceled although nobody asked"
    elif shown.reason in LOSSES:
        # Without a start it is one of the lost starts, which are counted.
        if starts and task_id not in excuses.supervisor_killed:
            yield "false_end", f"{shown.reason} of a script that ran"
    elif shown.reason == "start_failed" and may_not_start:
        if starts:
            yield "false_end", "start_failed of a script that ran"
    elif shown.reason != "agent_lost" or task_id not in excuses.given_up:
        yield "false_end", f"failed ({shown.reason}) although the script cannot fail"


def _judge_lost_starts(evidence: Evidence) -> list[Violation]:
    """Return a violation when more tasks were lost before they began than agents could lose."""
    excuses = evidence.excuses
    lost = [
        task_id
        for task_id, shown in evidence.shown.items()
        if shown.reason in LOSSES
        and not evidence.starts.get(task_id, 0)
        and task_id not in excuses.supervisor_killed | excuses.start_hindered
    ]
    if len(lost) <= excuses.starts_lost:
        return []
    detail = f"{len(lost)} tasks were lost before they began, {excuses.starts_lost} may be"
    return [Violation("starts_lost", lost[0], detail)]


def _judge_log(shown: Shown, *, has_lost_a_read: bool) -> str:
    """Return what is wrong with the stored bytes; a script cut short has a prefix of them."""
    if shown.expected_log.startswith(shown.log):
        return ""
    if has_lost_a_read and _lacks_one_read(shown.log, shown.expected_log):
        return ""
    return f"the script did not print so: {shown.log[:200]!r}"


def _judge_cut(shown: Shown, excuses: Excuses) -> Iterable[tuple[str, str]]:
    """Yield what is wrong with the number of bytes that are said to be missing."""
    kept, cut = len(shown.log), shown.truncated_bytes
    missing = len(shown.expected_log) - kept
    told = f"{kept} of {len(shown.expected_log)} bytes kept, {cut} said to be cut"
    if cut and not excuses.cuts_allowed:
        yield "cut_without_reason", told
    elif shown.status == "completed" and cut != missing:
        yield ("bytes_missing" if not cut else "cut_miscounted"), told
    elif cut > missing:
        # A script that was ended early has printed at most all of it.
        yield "cut_miscounted", told


def _lacks_one_read(log: bytes, expected: bytes) -> bool:
    """Return whether the log is the expected one but for one read of a pipe (and its tail).

    What is still in the pipe when a supervisor dies is saved behind that gap.
    """
    common = _common_bytes(log, expected)
    return 0 <= expected.find(log[common:], common) - common <= READ_BYTES


def _common_bytes(one: bytes, other: bytes) -> int:
    """Return how many bytes at the beginning are the same."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
