"""What is believed of a target: every rule on its own, and what holds for any series of runs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.probes.choices import Outcome, Policy, State
from tasks.probes.judgement import Belief, Rules, advance, grow_silent, together

RULES = Rules(fail_threshold=2, recover_threshold=1, interval=60)
OUTCOMES = [str(one) for one in Outcome]
STATES = [State.PENDING, State.UP, State.DEGRADED, State.SUSPECT, State.DOWN, State.UNKNOWN]


def after(*outcomes: str, rules: Rules = RULES, belief: Belief | None = None) -> Belief:
    """Return the belief after runs a minute apart."""
    belief = belief or Belief()
    for number, outcome in enumerate(outcomes, 1):
        belief = advance(belief, outcome, number * 60.0, rules)
    return belief


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ((), "pending"),
        (("up",), "up"),
        (("degraded",), "degraded"),
        (("down",), "suspect"),
        (("down", "up"), "up"),
        (("down", "down"), "down"),
        (("down", "error", "down"), "down"),
        (("down", "missed", "down"), "down"),
        (("down", "down", "up"), "up"),
        (("down", "down", "degraded"), "degraded"),
        (("error", "missed"), "pending"),
        (("up", "error", "error", "error"), "up"),
    ],
)
def test_runs_lead_to_a_state(outcomes, state):
    assert after(*outcomes).state == state


def test_state_begins_with_the_run_that_made_it():
    assert after("up", "down", "down", "down").since == 180.0


def test_recovery_takes_as_many_successes_as_asked():
    rules = Rules(fail_threshold=1, recover_threshold=3)
    down = after("down", rules=rules)
    assert after("up", "up", rules=rules, belief=down).state == "down"
    assert after("up", "up", "up", rules=rules, belief=down).state == "up"


def test_flapping_target_needs_one_success_more():
    rules = Rules(fail_threshold=1)
    flapping = after(*["down", "up"] * 3, "down", rules=rules)
    assert flapping.is_flapping
    once = after("up", rules=rules, belief=flapping)
    assert (once.state, after("up", rules=rules, belief=once).state) == ("down", "up")


def test_flapping_ends_when_the_target_stays():
    assert not after(*["down", "up"] * 5, *["up"] * 20).is_flapping


@given(st.lists(st.sampled_from(["error", "missed"]), max_size=30), st.sampled_from(STATES))
def test_prober_faults_never_change_a_state(outcomes, state):
    belief = Belief(state=state, since=1.0, failures=1)
    assert after(*outcomes, belief=belief) == belief


@given(st.lists(st.sampled_from(OUTCOMES), max_size=60), st.integers(1, 4), st.integers(1, 4))
def test_down_means_enough_failures_in_a_row_happened(outcomes, fails, recovers):
    rules = Rules(fails, recovers)
    belief, row, was_reached = Belief(), 0, False
    for number, outcome in enumerate(outcomes):
        belief = advance(belief, outcome, float(number), rules)
        row = row + 1 if outcome == "down" else row if outcome in {"error", "missed"} else 0
        was_reached = was_reached or row >= fails
        assert (belief.state == "down") <= was_reached
        assert row < fails or belief.state == "down"
        assert len(belief.history) <= 20


def test_silence_makes_unknown_after_three_intervals_and_never_down():
    up = after("up")
    assert grow_silent(up, 60 + 180, RULES) is up
    assert grow_silent(up, 60 + 181, RULES).state == "unknown"


def test_silence_is_at_least_ninety_seconds():
    up = advance(Belief(), "up", 0.0, Rules(interval=1))
    assert grow_silent(up, 89, Rules(interval=1)).state == "up"
    assert grow_silent(up, 91, Rules(interval=1)).state == "unknown"


def test_offline_host_knows_nothing_at_once():
    assert grow_silent(after("down", "down"), 121, RULES, is_offline=True).state == "unknown"


def test_unknown_target_is_not_down_at_its_first_failure():
    unknown = grow_silent(after("down", "down"), 9_999, RULES)
    assert advance(unknown, "down", 10_000, RULES).state == "suspect"


@pytest.mark.parametrize(
    ("states", "policy", "state"),
    [
        ([], Policy.ANY, "pending"),
        (["pending"], Policy.ANY, "pending"),
        (["unknown", "pending"], Policy.ANY, "unknown"),
        (["paused", "pending"], Policy.ANY, "pending"),
        (["paused", "unknown"], Policy.ANY, "unknown"),
        (["paused", "paused"], Policy.ALL, "paused"),
        (["paused", "up"], Policy.ALL, "up"),
        (["down", "up", "up"], Policy.ANY, "down"),
        (["down", "up", "up"], Policy.MAJORITY, "degraded"),
        (["down", "down", "up"], Policy.MAJORITY, "down"),
        (["down", "up"], Policy.MAJORITY, "degraded"),
        (["down", "down", "up"], Policy.ALL, "degraded"),
        (["down", "down"], Policy.ALL, "down"),
        (["down", "unknown"], Policy.ALL, "down"),
        (["unknown", "up"], Policy.ALL, "up"),
        (["suspect", "up"], Policy.ANY, "suspect"),
        (["degraded", "up"], Policy.ANY, "degraded"),
    ],
)
def test_locations_decide_together(states, policy, state):
    assert together(states, policy) == state


@given(st.lists(st.sampled_from(STATES), max_size=8), st.sampled_from(list(Policy)))
def test_locations_that_know_nothing_have_no_voice(states, policy):
    known = [one for one in states if one not in {"pending", "unknown", "paused"}]
    if known:
        assert together(states, policy) == together(known, policy)
    assert (together(states, policy) == "down") <= ("down" in states)
