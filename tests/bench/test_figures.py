"""The arithmetic of the benchmark table."""

from __future__ import annotations

import pytest

from bench.figures import Row, percentile, row_of, table


@pytest.mark.parametrize(
    ("values", "share", "result"),
    [([3, 1, 2], 0.5, 2), ([1, 2, 3, 4], 0.5, 2), (range(1, 101), 0.95, 95), ([7], 0.95, 7)],
)
def test_percentile_is_the_nearest_rank(values, share, result):
    assert percentile(values, share) == result


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (Row("a", "ms", 10, floor=40, goal=15), "goal"),
        (Row("a", "ms", 30, floor=40, goal=15), "floor"),
        (Row("a", "ms", 50, floor=40, goal=15), "below"),
        (Row("a", "1/s", 90, floor=80, goal=300, more_is_better=True), "floor"),
        (Row("a", "1/s", 10, floor=80, goal=300, more_is_better=True), "below"),
        (Row("a", "s", 2, goal=1.5), "below"),
        (Row("a", "ms", 50), ""),
    ],
)
def test_verdict_tells_which_bar_is_reached(row, verdict):
    assert row.verdict == verdict


def test_row_of_keeps_count_and_percentiles():
    row = row_of("a", "ms", range(1, 101), floor=60)
    assert (row.p50, row.p95, row.n, row.verdict) == (50, 95, 100, "floor")


def test_row_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="nothing was measured"):
        row_of("a", "ms", [])


def test_table_shows_three_digits_and_no_exponent():
    lines = table([Row("a", "ms", 0.12345), Row("b", "1/s", 123456.0, p95=0.0)]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")][1:4] == ["a", "0.123", ""]
    assert [cell.strip() for cell in lines[3].split("|")][1:4] == ["b", "123456", "0"]
