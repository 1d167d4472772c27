"""What is believed of a target: by one location from its runs, by all of them together. Pure.

A failure makes a location suspect, `fail_threshold` in a row make it down; `recover_threshold`
successes bring it back, one more while it flaps. Errors of the prober and missed runs say
nothing about the target: they change nothing, and when nothing else comes for
`silence_seconds` the location is unknown, which is not down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tasks.probes.choices import Outcome, Policy, State

HISTORY = 20
FLAPPING_CHANGES = 5
"""So many changes among the last HISTORY runs: such a target recovers only for good."""
MIN_SILENCE_SECONDS = 90.0
SILENT_INTERVALS = 3
MUTE = (State.UNKNOWN, State.PENDING, State.PAUSED)
"""Locations in these states say nothing of the target, the most alarming first."""
MARKS: dict[str, str] = {Outcome.UP: "u", Outcome.DEGRADED: "d", Outcome.DOWN: "x"}


@dataclass(frozen=True, slots=True)
class Rules:
    """How a probe's runs are judged."""

    fail_threshold: int = 2
    recover_threshold: int = 1
    interval: float = 60.0

    @property
    def silence_seconds(self) -> float:
        """Return after how long without a judged run nothing is known any more."""
        return max(SILENT_INTERVALS * self.interval, MIN_SILENCE_SECONDS)


@dataclass(frozen=True, slots=True)
class Belief:
    """What one location believes; since and seen_at in epoch seconds."""

    state: str = State.PENDING
    since: float = 0.0
    failures: int = 0
    successes: int = 0
    history: str = ""
    seen_at: float = 0.0

    @property
    def is_flapping(self) -> bool:
        """Return whether up and down took turns too often lately."""
        is_down = [mark == "x" for mark in self.history]
        changes = sum(one != other for one, other in pairwise(is_down))
        return changes >= FLAPPING_CHANGES


def advance(belief: Belief, outcome: str, at: float, rules: Rules) -> Belief:
    """Return the belief after one run; at is when it started."""
    mark = MARKS.get(outcome)
    if mark is None:
        return belief
    seen = replace(
        belief,
        history=(belief.history + mark)[-HISTORY:],
        seen_at=max(belief.seen_at, at),
    )
    return _fail(seen, at, rules) if mark == "x" else _succeed(seen, outcome, at, rules)


def grow_silent(belief: Belief, now: float, rules: Rules, *, is_offline: bool = False) -> Belief:
    """Return the belief when nothing was heard: unknown after a while, at once when offline."""
    if belief.state in {State.PENDING, State.UNKNOWN}:
        return belief
    if not is_offline and now - belief.seen_at <= rules.silence_seconds:
        return belief
    return replace(belief, state=State.UNKNOWN, since=now, failures=0, successes=0)


def rest(belief: Belief, now: float) -> Belief:
    """Return the belief of a location whose host is to rest: nothing is expected of it."""
    if belief.state == State.PAUSED:
        return belief
    return replace(belief, state=State.PAUSED, since=now, failures=0, successes=0)


def wake(belief: Belief, now: float) -> Belief:
    """Return the belief of a location whose host probes again and has not run yet."""
    return replace(belief, state=State.PENDING, since=now)


def together(states: Sequence[str], policy: str) -> str:
    """Return what the locations say by the policy; those that know nothing have no voice."""
    known = [one for one in states if one not in MUTE]
    if not known:
        return next((state for state in MUTE if state in states), State.PENDING)
    down = known.count(State.DOWN)
    if down and _is_quorum(down, len(known), policy):
        return State.DOWN
    if down:
        return State.DEGRADED  # Somebody cannot reach it, but not enough to call it down.
    for state in (State.SUSPECT, State.DEGRADED):
        if state in known:
            return state
    return State.UP


def _is_quorum(down: int, known: int, policy: str) -> bool:
    """Return whether so many locations decide."""
    if policy == Policy.ANY:
        return True
    return down == known if policy == Policy.ALL else down * 2 > known


def _fail(belief: Belief, at: float, rules: Rules) -> Belief:
    """Count a failure."""
    failures = belief.failures + 1
    is_down = belief.state == State.DOWN or failures >= rules.fail_threshold
    return _move(
        replace(belief, failures=failures, successes=0),
        State.DOWN if is_down else State.SUSPECT,
        at,
    )


def _succeed(belief: Belief, outcome: str, at: float, rules: Rules) -> Belief:
    """Count a success."""
    successes = belief.successes + 1
    counted = replace(belief, failures=0, successes=successes)
    needed = rules.recover_threshold + (1 if counted.is_flapping else 0)
    if belief.state == State.DOWN and successes < needed:
        return counted
    return _move(counted, State.UP if outcome == Outcome.UP else State.DEGRADED, at)


def _move(belief: Belief, state: str, at: float) -> Belief:
    """Change the state and its beginning, if it is another one."""
    return belief if state == belief.state else replace(belief, state=state, since=at)
