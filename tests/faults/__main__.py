"""`make faults`: the long form of every fault, and one table: fault, trials, violations.

`python -m tests.faults [WORDS]`: WORDS select tests as pytest's -k does. FAULTS_SCALE=0.1
makes a tenth of the trials. Ends with 1 when anything was violated or a test failed.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

TEST_SECONDS = 3600
FILES = (
    "tests/agent_client/files/test_archives.py",
    "tests/agent_client/files/test_roots.py",
    "tests/e2e/test_file_faults.py",
)
"""Files have their faults beside their other tests."""


def main(words: list[str]) -> int:
    """Run the tests in their long form and print the table."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.jsonl"
        results = Path(directory) / "results.xml"
        report.touch()
        selection = ["-k", " ".join(words)] if words else []
        suites = ["tests/faults", "tests/simulation", *FILES]
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-n", os.environ.get("WORKERS", "4")),
            # Hundreds of trials are one test here: only what hangs may meet the limit.
            *("--junitxml", str(results), "--timeout", str(TEST_SECONDS), "--dist", "load"),
            *("-p", "no:randomly", *selection),
            *(suite for suite in suites if Path(suite).exists()),
        ]
        environment = {**os.environ, "FAULTS": "long", "FAULTS_REPORT": str(report)}
        done = subprocess.run(command, env=environment, check=False)
        entries = [json.loads(line) for line in report.read_text().splitlines()]
        entries += failures(results, entries)
    print_table(entries)
    return done.returncode


def failures(results: Path, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a violation for every test that failed without naming one: it counts, too."""
    named = {one["test"] for one in entries if one.get("violations")}
    cases = ElementTree.parse(results).iter("testcase") if results.exists() else ()
    failed = {
        f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        for case in cases
        if case.find("failure") is not None or case.find("error") is not None
    }
    return [{"test": test, "violations": ["the test failed"]} for test in sorted(failed - named)]


def print_table(entries: list[dict[str, Any]]) -> None:
    """Print what was tried and found, in the order of the rows."""
    row_of = {one["test"]: one["row"] for one in entries if "row" in one}
    made: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for one in entries:
        row = row_of.get(one["test"], "(the tools of these tests)")
        made[row] += one.get("trials", 0)
        found[row] += len(one.get("violations", ()))
        for violation in one.get("violations", ()):
            print(f"VIOLATION {one['test']}: {violation}")
    width = max((len(row) for row in made), default=10)
    print(
        f"\n{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {platform.platform()}, {os.cpu_count()} cores"
    )
    print(f"{'fault':{width}}  trials  violations")
    for row in sorted(made):
        print(f"{row:{width}}  {made[row]:6}  {found[row]:10}")
    print(f"{'all':{width}}  {made.total():6}  {found.total():10}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
