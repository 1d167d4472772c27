"""`make faults`: the long form of every fault, and one table: fault, trials, violations.

`python -m tests.faults [WORDS]`: WORDS select tests as pytest's -k does. FAULTS=short makes the
faults of the suite, FAULTS_SCALE=0.1 a tenth of the trials, FAULTS_SEED=… the moments of an
earlier run. Ends with 1 when anything was violated or a test failed. What it prints can be
pasted into docs/guarantees.md: seed, commit and machine are its head.
"""

from __future__ import annotations

import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.faults.table import table

TEST_SECONDS = 3600
SUITES = (
    "tests/faults",
    "tests/simulation",
    "tests/agent_client/outbox",
    "tests/agent_client/files/test_archives.py",
    "tests/agent_client/files/test_roots.py",
    "tests/e2e/test_file_faults.py",
)
"""Outbox and files have their faults beside their other tests."""
WORKERS_PER_CORE = 2
"""Most of a fault is waiting: for a silence to be noticed, a lease to age, a host to come back."""


def main(words: list[str]) -> int:
    """Run the tests in their long form and print the table."""
    began = time.monotonic()
    workers = os.environ.get("WORKERS") or str(WORKERS_PER_CORE * (os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as directory:
        report, results = Path(directory) / "report.jsonl", Path(directory) / "results.xml"
        report.touch()
        environment = {
            "FAULTS": "long",
            "FAULTS_SEED": str(random.randrange(10**6)),
            **os.environ,
            "FAULTS_REPORT": str(report),
        }
        command = [
            *(sys.executable, "-m", "pytest", "-q", "-n", workers, "-p", "tests.faults.report"),
            # Hundreds of trials are one test here: only what hangs may meet the limit.
            *("--junitxml", str(results), "--timeout", str(TEST_SECONDS), "-p", "no:randomly"),
            # One test at a time for each worker: some take a minute, some a quarter of an hour.
            *("--dist", "load", "--maxschedchunk", "1"),
            *(["-k", " ".join(words)] if words else []),
            *(suite for suite in SUITES if Path(suite).exists()),
        ]
        done = subprocess.run(command, env=environment, check=False)
        entries = [json.loads(line) for line in report.read_text().splitlines()]
        entries += unreported(results, entries)
    for line in (*head(environment, workers, time.monotonic() - began), *table(entries)):
        print(line)
    return done.returncode


def unreported(results: Path, entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield an outcome for every test that failed without saying so: its worker died."""
    told = {one["test"] for one in entries if one.get("outcome") == "failed"}
    cases = ElementTree.parse(results).iter("testcase") if results.exists() else ()
    for case in cases:
        test = f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"
        if _is_failed(case) and test not in told:
            yield {"test": test, "outcome": "failed", "reason": "its worker died"}


def _is_failed(case: ElementTree.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def head(environment: dict[str, str], workers: str, seconds: float) -> Iterable[str]:
    """Return what a run depended on: when, of what, where, and how to repeat it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {commit()}, {seconds / 60:.0f} minutes",
        f"{platform.platform()}, {os.cpu_count()} cores, {memory:.0f} GiB, {workers} workers,"
        f" load {os.getloadavg()[1]:.1f}, Python {platform.python_version()}",
        f"FAULTS={environment['FAULTS']} FAULTS_SEED={environment['FAULTS_SEED']}"
        f" FAULTS_SCALE={environment.get('FAULTS_SCALE', '1')}",
        "",
    )


def commit() -> str:
    """Return which commit was tested, and whether it was changed."""
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
