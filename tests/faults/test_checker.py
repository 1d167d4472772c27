"""The checker itself: each broken guarantee is found, and nothing else."""

from __future__ import annotations

import pytest

from tests.faults.checker import READ_BYTES, Evidence, Excuses, Shown, violations

LOG = b"1 line 1\n1 line 2\n"
LOST = {"status": "failed", "reason": "supervisor_lost"}


def shown(**facts: object) -> Shown:
    status = facts.get("status", "completed")
    defaults = {"status": status, "reason": "exit", "stored": status, "ends": (status,)}
    return Shown(**{**defaults, "log": LOG, "expected_log": LOG, **facts})


def names(task: Shown | None, *, starts: int = 1, ends: int = 1, **facts: object) -> list[str]:
    given = {"accepted": [1], "stored": [1] if task else [], "starts": {1: starts}, **facts}
    evidence = Evidence(shown={1: task} if task else {}, ends={1: ends}, **given)
    return [one.guarantee for one in violations(evidence)]


def killed(*tasks: int, **facts: object) -> Excuses:
    return Excuses(supervisor_killed=set(tasks), **facts)


def hindered(*tasks: int, **facts: object) -> Excuses:
    return Excuses(start_hindered=set(tasks), **facts)


def test_good_task_breaks_nothing():
    assert names(shown()) == []


@pytest.mark.parametrize(
    ("task", "facts", "guarantee"),
    [
        (None, {}, "lost"),
        (shown(), {"starts": 2}, "started_twice"),
        (shown(status="running", ends=()), {}, "stuck"),
        (shown(ends=("completed", "failed")), {}, "not_one_final_state"),
        (shown(ends=()), {}, "not_one_final_state"),
        (shown(ends=("failed",)), {}, "states_differ"),
        (shown(stored="running"), {}, "states_differ"),
        (shown(), {"changed": [1]}, "final_state_changed"),
        (shown(), {"alive": {1: [7]}}, "process_left"),
        (shown(), {"ends": 0}, "false_end"),
        (shown(status="canceled"), {}, "false_end"),
        (shown(status="failed"), {}, "false_end"),
        (shown(**LOST), {}, "false_end"),
        (shown(log=LOG[:-3]), {}, "bytes_missing"),
        (shown(log=LOG[:9] * 2), {}, "bytes_wrong"),
        (shown(log=LOG + LOG), {}, "bytes_wrong"),
        (shown(log=LOG[9:]), {}, "bytes_wrong"),
    ],
)
def test_each_broken_guarantee_is_found(task, facts, guarantee):
    assert names(task, **facts) == [guarantee]


# --- what no client was told of --------------------------------------------------------


def test_task_that_only_the_database_knows_is_found():
    assert names(shown(), stored=[1, 2]) == ["unknown_task"]


def test_task_that_only_the_ledger_knows_is_found():
    evidence = Evidence([1], {1: shown()}, starts={1: 1, 2: 1}, ends={1: 1, 2: 1}, stored=[1])
    assert [one.guarantee for one in violations(evidence)] == ["unknown_task"]


# --- killed supervisors ------------------------------------------------------------------


def test_killed_supervisor_leaves_a_prefix_of_the_log():
    task = shown(**LOST, log=LOG[:9])
    assert names(task, ends=0, excuses=killed(1)) == []


def test_supervisor_of_another_task_excuses_nothing():
    task = shown(**LOST, log=LOG[:9])
    assert names(task, ends=0, excuses=killed(2)) == ["false_end"]


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
    task = shown(**LOST, log=log, expected_log=expected)
    assert names(task, ends=0, excuses=killed(1)) == broken


@pytest.mark.parametrize(("gap", "broken"), [(READ_BYTES, []), (READ_BYTES + 1, ["bytes_wrong"])])
def test_what_a_killed_supervisor_takes_is_no_more_than_one_read(gap, broken):
    numbers = b"".join(b"%07d\n" % number for number in range(20_000))
    expected = b"begin\n" + numbers
    task = shown(**LOST, log=b"begin\n" + numbers[gap:], expected_log=expected)
    assert names(task, ends=0, excuses=killed(1)) == broken


def test_log_without_a_piece_is_wrong_while_no_supervisor_was_killed():
    task = shown(**LOST, log=LOG[9:])
    excuses = Excuses(starts_lost=1)
    assert names(task, starts=0, ends=0, excuses=excuses) == ["bytes_wrong"]


@pytest.mark.parametrize(("given_up", "broken"), [({1}, []), ({2}, ["false_end"])])
def test_task_is_given_up_with_its_host_only(given_up, broken):
    task = shown(status="failed", reason="agent_lost", log=LOG[:9])
    assert names(task, ends=0, excuses=Excuses(given_up=given_up)) == broken


# --- starts ------------------------------------------------------------------------------


def test_task_that_never_began_may_be_lost_with_its_agent():
    task = shown(**LOST, log=b"")
    assert names(task, starts=0, ends=0, excuses=Excuses(starts_lost=1)) == []


def test_more_tasks_than_agents_can_lose_are_found():
    task = shown(**LOST, log=b"")
    assert names(task, starts=0, ends=0) == ["starts_lost"]


@pytest.mark.parametrize("excuse", [killed, hindered])
@pytest.mark.parametrize(("starts", "broken"), [(0, []), (1, ["false_end"])])
def test_start_that_a_fault_hindered_did_not_begin(excuse, starts, broken):
    task = shown(status="failed", reason="start_failed", log=b"")
    assert names(task, starts=starts, ends=0, excuses=excuse(1)) == broken


def test_start_that_nothing_hindered_must_not_fail():
    task = shown(status="failed", reason="start_failed", log=b"")
    assert names(task, starts=0, ends=0, excuses=hindered(2)) == ["false_end"]


def test_host_that_cannot_start_scripts_loses_none_that_runs():
    task = shown(**LOST, log=LOG[:9])
    assert names(task, ends=0, excuses=hindered(1)) == ["false_end"]


# --- cuts --------------------------------------------------------------------------------


def test_cut_that_is_counted_exactly_is_kept_to_the_word():
    task = shown(log=LOG[:4], truncated_bytes=len(LOG) - 4)
    assert names(task, excuses=Excuses(cuts_allowed=True)) == []


@pytest.mark.parametrize("told", [len(LOG) - 5, len(LOG) - 3, 1, 10_000])
def test_cut_that_is_miscounted_either_way_is_found(told):
    task = shown(log=LOG[:4], truncated_bytes=told)
    assert names(task, excuses=Excuses(cuts_allowed=True)) == ["cut_miscounted"]


def test_cut_without_a_fault_of_a_disk_is_found():
    task = shown(log=LOG[:4], truncated_bytes=len(LOG) - 4)
    assert names(task) == ["cut_without_reason"]


@pytest.mark.parametrize(("told", "broken"), [(3, []), (len(LOG) - 3, ["cut_miscounted"])])
def test_cut_of_a_script_that_was_ended_is_at_most_the_rest(told, broken):
    task = shown(**LOST, log=LOG[:4], truncated_bytes=told)
    assert names(task, ends=0, excuses=killed(1, cuts_allowed=True)) == broken


# --- cancel ------------------------------------------------------------------------------


def test_canceled_task_was_asked_for():
    task = shown(status="canceled", reason="user_cancel", log=LOG[:9])
    assert names(task, ends=0, canceled=frozenset({1})) == []
