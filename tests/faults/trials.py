"""How often a fault is made: a few times in the suite, many times with `make faults`.

`make faults` sets FAULTS=long; FAULTS_SCALE shortens or lengthens it, TRIALS says how many
trials each test makes. What was tried and what was found is noted in the file that
FAULTS_REPORT names; the table is made from it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tests.faults.checker import Violation

IS_LONG = os.environ.get("FAULTS") == "long"
SCALE = float(os.environ.get("FAULTS_SCALE", "1"))
TRIALS = int(os.environ.get("TRIALS", "0"))


def trials(row: str, *, short: int, long: int) -> int:
    """Return how many trials to make and note them for a row of the table."""
    count = (TRIALS or max(1, round(long * SCALE))) if IS_LONG else short
    _note({"row": row, "trials": count})
    return count


def note_violations(found: Sequence[Violation]) -> None:
    """Note what the running test has found."""
    _note({"violations": [list(one) for one in found]})


def _note(entry: dict[str, object]) -> None:
    """Append one entry with the name of the running test."""
    report = os.environ.get("FAULTS_REPORT")
    if report:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").rsplit(" ", 1)[0]
        with Path(report).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"test": test, **entry}) + "\n")
