"""From the notes of a run to the table: fault, trials, violations. Pure.

A test that was skipped stands in the table with its reason; one that failed without naming
a violation counts as one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TOOLS = "(the tools of these tests)"


@dataclass
class Course:
    """How one test went."""

    row: str = ""
    trials: int = 0
    planned: int = 0
    seconds: float = 0.0
    outcome: str = ""
    reason: str = ""
    violations: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)

    @property
    def made(self) -> int:
        """Return the trials that were judged; what was only planned counts once it has passed."""
        return self.trials + (self.planned if self.outcome == "passed" else 0)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Take one note in; of two outcomes the worse one stays."""
        self.row = entry.get("row") or self.row
        self.trials += entry.get("trials", 0)
        self.planned += entry.get("planned", 0)
        self.seconds += entry.get("seconds", 0.0)
        self.violations += [" ".join(map(str, one)) for one in entry.get("violations", ())]
        if "fact" in entry:
            self.facts.append(entry["fact"])
        if "outcome" in entry and self.outcome != "failed":
            self.outcome = entry["outcome"]
            self.reason = entry.get("reason", "")


def courses(entries: Iterable[Mapping[str, Any]]) -> dict[str, Course]:
    """Return how each test went, by its name."""
    found: dict[str, Course] = defaultdict(Course)
    for entry in entries:
        found[entry["test"]].add(entry)
    for one in found.values():
        if one.outcome == "failed" and not one.violations:
            one.violations.append(f"the test failed: {one.reason}")
    return dict(found)


def table(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table, rows by name, and below it each test with its trials."""
    by_test = courses(entries)
    rows: dict[str, list[Course]] = defaultdict(list)
    for course in by_test.values():
        rows[course.row or TOOLS].append(course)
    width = max((len(row) for row in rows), default=10)
    lines = [f"{'fault':{width}}  trials  violations"]
    for row in sorted(rows):
        lines += _row(row, rows[row], width)
    lines += [_figures("all", list(by_test.values()), width), ""]
    lines += [_detail(name, by_test[name]) for name in sorted(by_test)]
    found = [
        f"VIOLATION {name}: {text}" for name, one in by_test.items() for text in one.violations
    ]
    return found + lines


def _row(row: str, course: Sequence[Course], width: int) -> list[str]:
    skipped = sorted({one.reason for one in course if one.outcome == "skipped"})
    return [_figures(row, course, width), *(f"  not run: {reason}" for reason in skipped)]


def _figures(name: str, course: Sequence[Course], width: int) -> str:
    made = sum(one.made for one in course)
    found = sum(len(one.violations) for one in course)
    return f"{name:{width}}  {made:6}  {found:10}"


def _detail(name: str, one: Course) -> str:
    facts = "".join(f"; {fact}" for fact in dict.fromkeys(one.facts))
    outcome = f"not run: {one.reason}" if one.outcome == "skipped" else f"{one.made} trials"
    return f"  {name}: {outcome}, {one.seconds:.0f} s{facts}"
