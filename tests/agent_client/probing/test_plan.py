"""When probes are due: phases, drift, overruns, suspensions, changes."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.probing.plan import Plan, first_after, phase_of
from tests.agent_client.probing.probes import task

NOW = 1_760_000_000.0
DAY = 86_400


def plan_of(*tasks, now: float = NOW) -> Plan:
    plan = Plan("a-1")
    plan.replace(tasks, now)
    return plan


def dues(plan: Plan, until: float):
    """Run every due probe at once; yield (moment, probe)."""
    while (at := plan.next_at) is not None and at <= until:
        runs, missed = plan.advance(at)
        assert not missed
        for run in runs:
            run.probe.state = "running"
            plan.finished(run.probe, 0.01)
            yield run.at, run.probe


def test_ten_thousand_probes_keep_their_phase_for_a_day():
    rng = random.Random(7)
    tasks = [task(n, interval=rng.choice((900.0, 1800.0, 3600.0))) for n in range(10_000)]
    plan = plan_of(*tasks)
    count = 0
    worst = 0.0
    for at, probe in dues(plan, NOW + DAY):
        count += 1
        offset = (at - probe.phase) / probe.task.interval
        worst = max(worst, abs(offset - round(offset)) * probe.task.interval)
    expected = sum(
        math.floor((NOW + DAY - first_after(NOW, p.phase, p.task.interval)) / p.task.interval) + 1
        for p in plan.probes.values()
    )
    assert count == expected == plan.accounts.due == plan.accounts.executed
    assert worst < 1e-6


def test_load_is_flat_when_many_probes_share_an_interval():
    plan = plan_of(*(task(n) for n in range(6_000)))
    per_second = [0] * 60
    for at, _ in dues(plan, NOW + 59.999):
        per_second[int(at - NOW)] += 1
    assert sum(per_second) in (5_999, 6_000)
    assert max(per_second) < 150  # 100 on average; a bunch would be thousands


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 20), st.sampled_from([1.0, 7.0, 60.0])), max_size=40),
    st.floats(0.5, 3.0),
)
def test_others_never_move_a_probe_when_they_come_change_and_go(edits, step):
    plan = plan_of(task(99, interval=5.0))
    others: dict[int, float] = {}
    now, seen = NOW, []
    for number, interval in edits:
        now += step
        runs, _ = plan.advance(now)
        seen += [run.at for run in runs if run.probe.task.task_id == 99]
        others[number] = interval
        plan.replace(
            [task(99, interval=5.0), *(task(n, interval=i) for n, i in others.items())], now
        )
    phase = phase_of(task(99, interval=5.0), "a-1")
    assert all(abs((at - phase) / 5.0 - round((at - phase) / 5.0)) < 1e-6 for at in seen)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(["tick", "jump", "start", "end", "edit", "drop"]), max_size=80))
def test_every_due_run_is_executed_missed_or_under_way(actions):
    tasks = {n: task(n, interval=float(n)) for n in range(1, 5)}
    plan, now = plan_of(*tasks.values()), NOW
    open_runs = []
    for number, action in enumerate(actions):
        if action in ("tick", "jump"):
            now += 0.6 if action == "tick" else 37.0
            runs, _ = plan.advance(now, was_suspended=action == "jump")
            for run in runs:
                run.probe.state = "running"
                open_runs.append(run.probe)
        elif action == "end" and open_runs:
            plan.finished(open_runs.pop(0), 0.1)
        elif action == "edit":
            tasks[1] = task(1, interval=1.0 + number % 3)
            plan.replace(tasks.values(), now)
        elif action == "drop":
            plan.replace([one for one in tasks.values() if one.task_id != number % 5], now)
    accounts = plan.accounts
    assert accounts.due == accounts.executed + sum(accounts.missed.values()) + len(open_runs)


def test_restart_finds_the_same_moments_when_the_agent_is_the_same():
    first = plan_of(task(1)).probes[1].due
    assert plan_of(task(1), now=NOW + 0.5).probes[1].due in (first, first + 60)
    assert phase_of(task(1), "a-1") != phase_of(task(1), "a-2")


def test_nothing_changes_when_an_identical_probe_is_saved():
    plan = plan_of(task(1))
    probe = plan.probes[1]
    due = probe.due
    changes = plan.replace([task(1)], NOW + 10)
    assert plan.probes[1] is probe
    assert probe.due == due
    assert not (changes.added or changes.changed or changes.removed)


def test_phase_stays_a_share_of_the_interval_when_it_changes():
    plan = plan_of(task(1, interval=60.0))
    share = plan.probes[1].phase / 60
    plan.replace([task(1, interval=120.0)], NOW)
    assert plan.probes[1].phase / 120 == pytest.approx(share)


def test_overrun_is_told_after_the_run_when_it_lasts_for_three_intervals():
    plan = plan_of(task(1, interval=10.0))
    due = plan.probes[1].due
    (run,), _ = plan.advance(due)
    run.probe.state = "running"
    for step in (1, 2, 3):
        assert plan.advance(due + 10 * step) == ([], [])
    span = plan.finished(run.probe, 30.0)
    assert (span.reason, span.runs) == ("overrun", 3)
    assert (span.first, span.last) == pytest.approx((due + 10, due + 30))


def test_one_span_is_missed_when_the_host_was_suspended():
    plan = plan_of(task(1, interval=10.0))
    due = plan.probes[1].due
    runs, (span,) = plan.advance(due + 605, was_suspended=True)
    assert not runs
    assert (span.reason, span.runs) == ("suspended", 61)
    assert plan.probes[1].due == pytest.approx(due + 610)


def test_run_is_missed_as_late_when_it_would_start_beyond_its_limit():
    plan = plan_of(task(1, interval=8.0))
    runs, (span,) = plan.advance(plan.probes[1].due + 2.1)
    assert not runs
    assert (span.reason, span.runs) == ("late", 1)


def test_change_waits_for_the_run_when_the_probe_is_running():
    plan = plan_of(task(1, target="old"))
    (run,), _ = plan.advance(plan.probes[1].due)
    run.probe.state = "running"
    plan.replace([task(1, target="new")], NOW)
    assert run.probe.task.target == "old"
    plan.finished(run.probe, 0.1)
    assert run.probe.task.target == "new"


def test_probe_runs_once_at_a_time_when_it_is_removed_and_added_while_it_runs():
    plan = plan_of(task(1))
    (run,), _ = plan.advance(plan.probes[1].due)
    run.probe.state = "running"
    plan.replace([], NOW)
    plan.replace([task(1)], NOW)
    assert plan.probes[1] is run.probe
    assert run.probe.state == "running"


def test_stuck_probe_is_not_started_again_when_it_is_due():
    plan = plan_of(task(1, interval=10.0))
    (run,), _ = plan.advance(plan.probes[1].due)
    run.probe.state = "running"
    plan.finished(run.probe, 5.0, is_stuck=True)
    runs, (span,) = plan.advance(plan.probes[1].due)
    assert not runs
    assert span.reason == "overrun"
    plan.came_back(run.probe)
    assert len(plan.advance(plan.probes[1].due)[0]) == 1
