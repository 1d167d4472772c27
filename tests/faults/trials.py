"""How often a fault is made, and what is noted of it for the table of `make faults`.

FAULTS=long makes every fault often, FAULTS_SCALE shortens or lengthens that, TRIALS says how
many trials each test makes. A trial is noted after it was made and judged, in the file that
FAULTS_REPORT names; what did not happen is not counted.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Sequence
from pathlib import Path

from tests.faults.checker import Violation

IS_LONG = os.environ.get("FAULTS") == "long"
SCALE = float(os.environ.get("FAULTS_SCALE", "1"))
TRIALS = int(os.environ.get("TRIALS", "0"))
SEED = int(os.environ.get("FAULTS_SEED") or random.randrange(10**6))


def planned(*, short: int, long: int) -> int:
    """Return how many trials to make, at least one."""
    return (TRIALS or max(1, round(long * SCALE))) if IS_LONG else short


def trials(row: str, *, short: int, long: int) -> int:
    """Return how many trials to make, for a test that has judged all of them when it passes."""
    count = planned(short=short, long=long)
    _note({"row": row, "planned": count})
    return count


def chance() -> random.Random:
    """Return the moments of the running test; the seed is printed, so that they can be repeated."""
    print(f"FAULTS_SEED={SEED}")
    return random.Random(f"{SEED} {running_test()}")


def note_trials(count: int) -> None:
    """Note trials that the running test has made and judged."""
    _note({"trials": count})


def note_violations(found: Sequence[Violation]) -> None:
    """Note what the running test has found."""
    if found:
        _note({"violations": [list(one) for one in found]})


def note_fact(text: str) -> None:
    """Note what a reader of the table should know, for example a bound that was used."""
    print(text)
    _note({"fact": text})


def running_test() -> str:
    """Return the name of the running test, without the group it runs in."""
    return name_of(os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0])


def name_of(node_id: str) -> str:
    """Return a test's name without what the distribution of tests appends to it."""
    return node_id.rsplit("@", 1)[0]


def _note(entry: dict[str, object]) -> None:
    """Append one entry with the name of the running test."""
    write_entry({"test": running_test(), **entry})


def write_entry(entry: dict[str, object]) -> None:
    """Append one entry to the report, if there is one."""
    report = os.environ.get("FAULTS_REPORT")
    if report:
        with Path(report).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
