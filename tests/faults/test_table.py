"""The table tells what was made and judged, and what was not run."""

from __future__ import annotations

from tests.faults.table import TOOLS, courses, table

ROW = "a fault"


def lines(*entries: dict[str, object]) -> str:
    return "\n".join(table(entries))


def passed(test: str = "t", row: str = ROW) -> dict[str, object]:
    return {"test": test, "row": row, "outcome": "passed", "seconds": 1.0}


def test_trials_are_those_that_were_judged():
    found = courses([{"test": "t", "trials": 3}, {"test": "t", "trials": 4}, passed()])
    assert found["t"].made == 7


def test_what_was_only_planned_counts_when_the_test_has_passed():
    planned = {"test": "t", "row": ROW, "planned": 5}
    assert courses([planned, passed()])["t"].made == 5
    assert courses([planned, {**passed(), "outcome": "failed"}])["t"].made == 0


def test_skipped_test_stands_in_its_row_with_its_reason():
    skipped = {**passed(), "outcome": "skipped", "reason": "no loop device"}
    assert "a fault       0           0\n  not run: no loop device" in lines(skipped)


def test_test_that_failed_without_naming_a_violation_counts_as_one():
    failed = {**passed(), "outcome": "failed", "reason": "it broke"}
    assert courses([failed])["t"].violations == ["the test failed: it broke"]
    assert "VIOLATION t: the test failed: it broke" in lines(failed)


def test_violations_that_were_named_are_counted_once():
    named = {"test": "t", "violations": [["lost", 7, "gone"], ["stuck", 8, ""]]}
    assert len(courses([named, {**passed(), "outcome": "failed"}])["t"].violations) == 2


def test_clean_up_that_fails_makes_the_test_fail():
    found = courses([passed(), {**passed(), "outcome": "failed", "reason": "leaked"}])
    assert found["t"].violations == ["the test failed: leaked"]


def test_tests_without_a_row_are_the_tools():
    assert TOOLS in lines({**passed(), "row": ""})
