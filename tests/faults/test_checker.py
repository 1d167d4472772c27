"""The checker itself: each broken guarantee is found, and nothing else."""

from __future__ import annotations

import pytest

from tests.faults.checker import Evidence, Shown, violations

LOG = b"1 line 1\n1 line 2\n"


def shown(**facts: object) -> Shown:
    return Shown(
        **{
            "status": "completed",
            "reason": "exit",
            "ends": 1,
            "log": LOG,
            "expected_log": LOG,
            **facts,
        }
    )


def names(task: Shown | None, *, starts: int = 1, ends: int = 1, **facts: object) -> list[str]:
    evidence = Evidence([1], {1: task} if task else {}, {1: starts}, {1: ends}, **facts)
    return [one.guarantee for one in violations(evidence)]


def test_good_task_breaks_nothing():
    assert names(shown()) == []


@pytest.mark.parametrize(
    ("task", "facts", "guarantee"),
    [
        (None, {}, "lost"),
        (shown(), {"starts": 2}, "started_twice"),
        (shown(status="running", ends=0), {}, "stuck"),
        (shown(ends=2), {}, "not_one_final_state"),
        (shown(ends=0), {}, "not_one_final_state"),
        (shown(), {"alive": {1: [7]}}, "process_left"),
        (shown(), {"ends": 0}, "false_end"),
        (shown(status="canceled"), {}, "false_end"),
        (shown(status="failed"), {}, "false_end"),
        (shown(status="failed", reason="supervisor_lost"), {}, "false_end"),
        (shown(log=LOG[:-3]), {}, "bytes_missing"),
        (shown(log=LOG[:9] * 2), {}, "bytes_wrong"),
        (shown(log=LOG + LOG), {}, "bytes_wrong"),
        (shown(log=LOG[9:]), {}, "bytes_wrong"),
        (shown(log=LOG[:4], truncated_bytes=3), {}, "bytes_wrong"),
    ],
)
def test_each_broken_guarantee_is_found(task, facts, guarantee):
    assert names(task, **facts) == [guarantee]


def test_task_that_never_began_may_be_lost_with_its_agent():
    task = shown(status="failed", reason="supervisor_lost", log=b"")
    assert names(task, starts=0, ends=0) == []


def test_killed_supervisor_leaves_a_prefix_of_the_log():
    task = shown(status="failed", reason="supervisor_lost", log=LOG[:9])
    assert names(task, ends=0, losses_allowed=True) == []


@pytest.mark.parametrize(
    ("log", "broken"),
    [
        (b"1 line 1\n1 line 3\n", []),
        (b"1 line 2\n1 line 3\n", []),
        (b"1 line 2\n", []),
        (b"1 line 2\n1 line 1\n", ["bytes_wrong"]),
        (b"1 line 1\n1 line 1\n", ["bytes_wrong"]),
        (b"1 line 1\n1 line 3\n1 line 5\n", ["bytes_wrong"]),
    ],
)
def test_killed_supervisor_may_take_one_read_with_it(log, broken):
    expected = b"".join(b"1 line %d\n" % number for number in range(1, 6))
    task = shown(status="failed", reason="supervisor_lost", log=log, expected_log=expected)
    assert names(task, ends=0, losses_allowed=True) == broken


def test_log_without_a_piece_is_wrong_while_no_supervisor_was_killed():
    task = shown(status="failed", reason="supervisor_lost", log=LOG[9:])
    assert names(task, starts=0, ends=0) == ["bytes_wrong"]


def test_canceled_task_was_asked_for():
    task = shown(status="canceled", reason="user_cancel", log=LOG[:9])
    assert names(task, ends=0, canceled=frozenset({1})) == []


def test_cut_that_is_counted_exactly_is_kept_to_the_word():
    assert names(shown(log=LOG[:4], truncated_bytes=len(LOG) - 4)) == []


@pytest.mark.parametrize("fault", ["losses_allowed", "starts_may_fail"])
@pytest.mark.parametrize(("starts", "broken"), [(0, []), (1, ["false_end"])])
def test_start_that_a_fault_hindered_did_not_begin(fault, starts, broken):
    task = shown(status="failed", reason="start_failed", log=b"")
    assert names(task, starts=starts, ends=0, **{fault: True}) == broken


def test_host_that_cannot_start_scripts_loses_none_that_runs():
    task = shown(status="failed", reason="supervisor_lost", log=LOG[:9])
    assert names(task, ends=0, starts_may_fail=True) == ["false_end"]
