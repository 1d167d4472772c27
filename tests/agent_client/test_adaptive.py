"""The controller that lowers the agent's limits: bounded steps, no oscillation."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.adaptive import Controller, Limits, Marks, limits_for

BUSY = {"cpu_percent": 99.0, "load_1m": 0.0}
IDLE = {"cpu_percent": 1.0, "load_1m": 0.1}
BETWEEN = {"cpu_percent": 65.0, "load_1m": 1.0}


def controller(**marks: float) -> Controller:
    return Controller(Marks(**marks), cpu_cores=2)


def driven(one: Controller, sample: dict[str, float], *, seconds: int, start: float = 0) -> float:
    for second in range(seconds):
        one.observe(now=start + second, **sample)
    return one.factor


def test_factor_is_one_before_any_sample():
    assert controller().factor == 1


def test_high_cpu_takes_one_step_down():
    one = controller()
    assert one.observe(now=0, **BUSY)
    assert one.factor == 0.9


@pytest.mark.parametrize(("load", "factor"), [(2.39, 1), (2.4, 0.9)])
def test_high_load_counts_by_core(load, factor):
    one = controller()
    one.observe(now=0, cpu_percent=60, load_1m=load)
    assert one.factor == factor


def test_second_step_waits_for_the_cooldown():
    one = controller(cooldown_seconds=15)
    assert driven(one, BUSY, seconds=15) == 0.9
    assert one.observe(now=15, **BUSY)


def test_factor_never_falls_below_its_minimum():
    assert driven(controller(cooldown_seconds=0), BUSY, seconds=50) == 0.3


def test_minimum_that_is_no_whole_number_of_steps_is_kept():
    assert driven(controller(cooldown_seconds=0, min_factor=0.25), BUSY, seconds=50) == 0.25


def test_recovery_ends_exactly_at_one():
    one = controller(cooldown_seconds=0, min_factor=0.25)
    driven(one, BUSY, seconds=50)
    assert driven(one, IDLE, seconds=50, start=50) == 1


def test_between_the_marks_nothing_moves():
    one = controller(cooldown_seconds=0)
    one.observe(now=0, **BUSY)
    assert driven(one, BETWEEN, seconds=50, start=1) == 0.9


def test_low_cpu_alone_is_no_recovery_while_the_load_is_high():
    one = controller(cooldown_seconds=0)
    one.observe(now=0, **BUSY)
    assert not one.observe(now=1, cpu_percent=1, load_1m=2.0)


samples = st.lists(
    st.tuples(st.floats(0.1, 20), st.floats(0, 100), st.floats(0, 50)), min_size=1, max_size=120
)


@given(samples, st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0, 60))
def test_any_load_moves_at_most_one_step_per_cooldown_and_stays_in_bounds(
    found, minimum, step, cooldown
):
    one = controller(min_factor=minimum, step=step, cooldown_seconds=cooldown)
    now, changed_at, before = 0.0, float("-inf"), one.factor
    for pause, cpu_percent, load in found:
        now += pause
        changed = one.observe(now=now, cpu_percent=cpu_percent, load_1m=load)
        assert changed == (one.factor != before)
        assert minimum - 1e-6 <= one.factor <= 1
        assert abs(one.factor - before) <= step + 1e-5
        if changed:
            assert now - changed_at >= cooldown
            changed_at = now
        before = one.factor


@given(st.floats(0, 100), st.floats(0, 50))
def test_steady_load_settles_and_never_turns_around(cpu_percent, load):
    one = controller(cooldown_seconds=0)
    factors = []
    for second in range(60):
        one.observe(now=second, cpu_percent=cpu_percent, load_1m=load)
        factors.append(one.factor)
    assert factors == sorted(factors, reverse=True)
    assert len(set(factors[-20:])) == 1


def test_limits_keep_one_slot_and_the_least_bandwidth():
    found = limits_for(0.3, slots=1, bandwidth_mb=2, min_bandwidth_mb=1)
    assert found == Limits(1, 1, 0.3)


def test_limits_halve_slots_and_bandwidth():
    assert limits_for(0.5, slots=8, bandwidth_mb=10, min_bandwidth_mb=1) == Limits(4, 5, 0.5)


def test_least_bandwidth_never_exceeds_what_is_configured():
    assert limits_for(0.3, slots=4, bandwidth_mb=0.5, min_bandwidth_mb=1).bandwidth_mb == 0.5


def test_without_a_configured_bandwidth_there_is_no_limit():
    assert limits_for(0.3, slots=4, bandwidth_mb=0, min_bandwidth_mb=1).bandwidth_mb is None


@given(st.floats(0.01, 1), st.integers(0, 10_000))
def test_limits_are_none_exactly_when_no_slot_is_given_and_never_more(factor, slots):
    found = limits_for(factor, slots=slots, bandwidth_mb=0, min_bandwidth_mb=1).slots
    assert (found == 0) == (slots == 0)
    assert found <= slots


@pytest.mark.parametrize(
    ("sample", "cause"),
    [
        ({"cpu_percent": 80, "load_1m": 0.1}, "cpu"),
        ({"cpu_percent": 10, "load_1m": 99}, "load"),
        ({"cpu_percent": 80, "load_1m": 99}, "both"),
    ],
)
def test_lowered_limits_know_their_cause_until_they_are_whole(sample, cause):
    one = controller(cooldown_seconds=0)
    assert one.cause == ""
    one.observe(now=0, **sample)
    assert one.cause == cause
    one.observe(now=1, **IDLE)
    assert (one.factor, one.cause) == (1, "")
