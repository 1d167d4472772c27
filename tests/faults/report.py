"""A pytest plug-in that notes how each test of a fault went: `-p tests.faults.report`.

Also of tests that never ran: a row of the table must say so. Loaded by `make faults` only.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.faults.trials import name_of, write_entry


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the outcome of every phase that is the test itself or went wrong."""
    report = yield
    row = item.get_closest_marker("row")
    if report.when == "call" or not report.passed:
        write_entry(
            {
                "test": name_of(item.nodeid),
                "row": row.args[0] if row else "",
                "outcome": report.outcome,
                "reason": _reason(report),
                "seconds": round(report.duration, 1),
            }
        )
    return report


def _reason(report: pytest.TestReport) -> str:
    """Return why a test was skipped or failed, in one line."""
    if report.passed:
        return ""
    if isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    return str(crash.message if crash else report.longrepr).splitlines()[0][:200]
