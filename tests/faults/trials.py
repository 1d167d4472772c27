"""How often a fault is made: a few times in the suite, many times with `make faults`.

`make faults` sets FAULTS=long; FAULTS_SCALE shortens or lengthens it. Each call is noted in
the file that FAULTS_REPORT names, from which the table is printed.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

IS_LONG = os.environ.get("FAULTS") == "long"
SCALE = float(os.environ.get("FAULTS_SCALE", "1"))


def trials(row: str, *, short: int, long: int) -> int:
    """Return how many trials to make and note them for a row of the table."""
    count = max(1, round(long * SCALE)) if IS_LONG else short
    note(row, count)
    return count


def note(row: str, count: int) -> None:
    """Note trials of a row; the table adds them up."""
    report = os.environ.get("FAULTS_REPORT")
    if report:
        test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0]
        with Path(report).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"row": row, "trials": count, "test": test}) + "\n")
