"""Which problems a rule tells, reminds of, or calls recovered. Pure: data in, decision out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tasks.alerts.choices import Event
from tasks.alerts.problems import Problem


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a rule watches."""

    events: frozenset[str]
    name_contains: str
    labels: Mapping[str, str]
    min_duration: timedelta
    renotify: timedelta
    certificate_days: int


@dataclass(frozen=True, slots=True)
class Known:
    """An open alert of the rule, or one of a momentary problem that was told already."""

    key: str
    told_at: datetime
    is_open: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now."""

    fire: Sequence[Problem]
    remind: Sequence[Problem]
    recover: Sequence[str]


def decide(
    wanted: Wanted, problems: Iterable[Problem], known: Iterable[Known], now: datetime
) -> Decision:
    """Compare what is wrong with what was told."""
    matching = {problem.key: problem for problem in problems if matches(wanted, problem)}
    told = {one.key: one for one in known}
    audible = [problem for problem in matching.values() if not problem.is_suppressed]
    return Decision(
        fire=[one for one in audible if one.key not in told and _is_ripe(wanted, one, now)],
        remind=[one for one in audible if _is_due(wanted, told.get(one.key), now)],
        # A suppressed problem is still there: it neither fires nor recovers.
        recover=[one.key for one in told.values() if one.is_open and one.key not in matching],
    )


def matches(wanted: Wanted, problem: Problem) -> bool:
    """Return whether the rule is about this problem."""
    if problem.event not in wanted.events:
        return False
    if wanted.name_contains.casefold() not in problem.name.casefold():
        return False
    if problem.event == Event.CERTIFICATE and problem.days_left > wanted.certificate_days:
        return False
    return all(problem.labels.get(name) == value for name, value in wanted.labels.items())


def _is_ripe(wanted: Wanted, problem: Problem, now: datetime) -> bool:
    """Return whether the problem has lasted long enough."""
    # A certificate that will end has no beginning: its days left are its duration.
    is_timeless = problem.is_momentary or problem.event == Event.CERTIFICATE
    return is_timeless or now - problem.since >= wanted.min_duration


def _is_due(wanted: Wanted, known: Known | None, now: datetime) -> bool:
    """Return whether an open alert is to be told again."""
    if known is None or not known.is_open or not wanted.renotify:
        return False
    return now - known.told_at >= wanted.renotify
