"""Compares three records: what the client was told, what the ledger says, what the server shows.

Pure. A violation names the guarantee that was broken and the task. What the product does
not promise is no violation, and each case of it is written out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import NamedTuple

FINAL = frozenset({"completed", "failed", "canceled"})
LOSSES = frozenset({"supervisor_lost", "host_reboot"})
"""Ends of tasks whose supervisor died with nobody left to see the exit code."""


class Violation(NamedTuple):
    """One broken guarantee."""

    guarantee: str
    task_id: int
    detail: str = ""


@dataclass(frozen=True)
class Shown:
    """One task as the server shows it after the fault; ends counts its final events."""

    status: str
    reason: str
    ends: int
    log: bytes
    expected_log: bytes
    truncated_bytes: int = 0


@dataclass
class Evidence:
    """Everything that is known when the fault is over and every deadline has passed."""

    accepted: Iterable[int]
    shown: Mapping[int, Shown]
    starts: Mapping[int, int]
    ends: Mapping[int, int]
    alive: Mapping[int, Iterable[int]] = field(default_factory=dict)
    """Processes of each task that still live although it has ended."""
    canceled: frozenset[int] = frozenset()
    """Tasks that somebody asked to cancel."""
    losses_allowed: bool = False
    """Whether the fault kills supervisors, so that an exit code may be unknown."""
    starts_may_fail: bool = False
    """Whether the host may be unable to start a script; the task must say so and not run."""


def violations(evidence: Evidence) -> list[Violation]:
    """Return every broken guarantee, in the order of the tasks."""
    found: list[Violation] = []
    for task_id in evidence.accepted:
        shown = evidence.shown.get(task_id)
        if shown is None:
            found.append(Violation("lost", task_id, "the server does not know it"))
            continue
        found += [Violation(name, task_id, text) for name, text in _judge(task_id, shown, evidence)]
    return found


def _judge(task_id: int, shown: Shown, evidence: Evidence) -> Iterable[tuple[str, str]]:
    """Yield (guarantee, detail) for everything wrong with one task."""
    starts, ends = evidence.starts.get(task_id, 0), evidence.ends.get(task_id, 0)
    if starts > 1:
        yield "started_twice", f"{starts} starts"
    if shown.status not in FINAL:
        yield "stuck", f"still {shown.status}"
        return
    if shown.ends != 1:
        yield "not_one_final_state", f"{shown.ends} final events"
    if alive := sorted(evidence.alive.get(task_id, ())):
        yield "process_left", f"pids {alive}"
    yield from _judge_end(shown, starts, ends, evidence, canceled=task_id in evidence.canceled)
    yield from _judge_log(shown, ends, may_lack_a_read=_may_lack_a_read(shown, evidence))


def _judge_end(
    shown: Shown, starts: int, ends: int, evidence: Evidence, *, canceled: bool
) -> Iterable[tuple[str, str]]:
    """Yield what is wrong with how the task ended, against what the script says."""
    if shown.status == "completed":
        if not (starts and ends):
            yield "false_end", f"completed with {starts} starts and {ends} ends"
    elif shown.status == "canceled":
        if not canceled:
            yield "false_end", "canceled although nobody asked"
    elif shown.reason in LOSSES:
        # Between order and claim a dead agent leaves a task that never began: that is known.
        if starts and not evidence.losses_allowed:
            yield "false_end", f"{shown.reason} of a script that ran"
    elif shown.reason == "start_failed" and (evidence.losses_allowed or evidence.starts_may_fail):
        if starts:
            yield "false_end", "start_failed of a script that ran"
    else:
        yield "false_end", f"failed ({shown.reason}) although the script cannot fail"


def _may_lack_a_read(shown: Shown, evidence: Evidence) -> bool:
    """Return whether a supervisor was killed, perhaps between reading a pipe and writing.

    What is still in the pipe is saved behind that gap.
    """
    return evidence.losses_allowed and shown.reason in LOSSES


def _judge_log(shown: Shown, ends: int, *, may_lack_a_read: bool) -> Iterable[tuple[str, str]]:
    """Yield what is wrong with the stored bytes; a script cut short has a prefix of them."""
    if shown.log == shown.expected_log:
        return
    kept = len(shown.log)
    is_prefix = shown.expected_log.startswith(shown.log)
    if shown.truncated_bytes:
        if not is_prefix or kept + shown.truncated_bytes < len(shown.expected_log) * bool(ends):
            yield "bytes_wrong", f"{kept} kept, {shown.truncated_bytes} said to be cut"
    elif not is_prefix:
        if not (may_lack_a_read and _has_one_gap(shown.log, shown.expected_log)):
            yield "bytes_wrong", f"the script did not print so: {shown.log[:200]!r}"
    elif shown.status == "completed":
        yield "bytes_missing", f"{kept} of {len(shown.expected_log)}"


def _has_one_gap(log: bytes, expected: bytes) -> bool:
    """Return whether the log is the expected one but for one missing piece (and its tail)."""
    common = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(log, expected, strict=False))
    )
    return expected.find(log[common:], common) >= 0
