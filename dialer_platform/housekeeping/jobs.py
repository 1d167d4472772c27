"""The list of periodic jobs: a name, an interval and a function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of periodic work."""

    name: str
    interval_seconds: float
    function: Callable[[], object]


_jobs: dict[str, Job] = {}


def register(name: str, interval_seconds: float, function: Callable[[], object]) -> None:
    """Add a job; the same name replaces the earlier one. What it returns is ignored."""
    _jobs[name] = Job(name, interval_seconds, function)


def jobs() -> list[Job]:
    """Return the registered jobs in order of registration."""
    return list(_jobs.values())
