"""`python -m bench`: measure on this machine and print one table.

`--only WORDS` runs the groups that are named, `--quick` takes fewer values, `--json FILE`
writes the rows for later comparison. Ends every process it started, also when it fails.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import psutil

from bench import files, idle, logs, machine, probes, results, starting, throughput
from bench.figures import Row, table
from tests.e2e.stack import Stack, running_stack

GROUPS = (
    "machine",
    "idle",
    "start",
    "polling",
    "hop",
    "throughput",
    "log",
    "echo",
    "results",
    "probes",
    "files",
)


def main() -> int:
    """Measure the chosen groups; return 1 when one of them could not be measured."""
    options = _options()
    rows: list[Row] = []
    failures: list[str] = []
    print(machine.describe(), flush=True)
    with tempfile.TemporaryDirectory(prefix="dialer-bench-") as name:
        directory = Path(name)
        if "machine" in options.only:
            rows += machine.limits(directory)
        place = directory / "stack"
        place.mkdir()
        with running_stack(place) as stack:
            _measure(stack, options, rows, failures)
    print(table(rows))
    for failure in failures:
        print(f"not measured: {failure}", file=sys.stderr)
    if options.json:
        Path(options.json).write_text(json.dumps([asdict(row) for row in rows], indent=2))
    return 1 if failures else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=GROUPS)
    parser.add_argument("--quick", action="store_true", help="a fifth of the values")
    parser.add_argument("--json", metavar="FILE", help="write the rows as JSON")
    return parser.parse_args()


def _measure(
    stack: Stack, options: argparse.Namespace, rows: list[Row], failures: list[str]
) -> None:
    """Run the groups in turn; one that fails is told and the others go on."""
    stack.start_agent("bench")
    agent = psutil.Process(stack.agents["bench"].pid)
    part = 5 if options.quick else 1
    groups: dict[str, Callable[[], list[Row]]] = {
        "idle": lambda: idle.idle_use(stack, agent.pid),
        "start": lambda: [
            starting.submit_to_start(
                stack,
                name="submit to first instruction, WebSocket",
                n=50 // part,
                floor=40,
                goal=15,
            )
        ],
        "hop": lambda: [starting.dependency_hop(stack, n=20 // part)],
        "throughput": lambda: throughput.no_op_tasks(stack, agent, n=500 // part),
        "log": lambda: logs.large_log(stack, agent, megabytes=100 // part),
        "echo": lambda: [logs.echo_to_browser(stack, n=100 // part)],
        "results": lambda: results.results_into_the_store(stack, n=400_000 // part),
        "probes": lambda: probes.dial_tests(stack.directory / "probes", seconds=120 / part),
        "files": lambda: files.transfers(stack, size_bytes=files.GIB // part, seconds=30 // part),
        "polling": lambda: _polling(stack, n=20 // part),
    }
    for name, measure in groups.items():
        if name not in options.only:
            continue
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        try:
            rows += measure()
        except Exception as error:  # noqa: BLE001 - the other groups are still worth having
            failures.append(f"{name}: {type(error).__name__}: {error}")


def _polling(stack: Stack, n: int) -> list[Row]:
    """Replace the agent by one that only polls and submit to it."""
    process = stack.agents.pop("bench", None)
    if process is not None:
        process.terminate()
        process.wait(30)
    stack.start_agent("bench", AGENT_CONNECTION_TRANSPORT="polling")
    return [
        starting.submit_to_start(
            stack, name="submit to first instruction, polling", n=n, floor=2500, goal=None
        )
    ]


if __name__ == "__main__":
    sys.exit(main())
