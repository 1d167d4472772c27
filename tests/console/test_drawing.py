"""Bars, curves and marks as numbers."""

from __future__ import annotations

import pytest

from dialer_platform.console import drawing


def test_segments_stand_side_by_side():
    first, second = drawing.segments([(5, "done"), (2, "waiting")], 20)
    assert (first.x, first.width) == (0, 25)
    assert (second.x, second.width) == (25, 10)


def test_segments_are_cut_when_they_exceed_the_total():
    assert sum(part.width for part in drawing.segments([(80, "a"), (80, "b")])) == 100


@pytest.mark.parametrize(("parts", "total"), [([(5, "a")], 0), ([(-3, "a")], 10), ([], 10)])
def test_segments_are_empty_when_there_is_nothing_to_draw(parts, total):
    assert drawing.segments(parts, total) == []


def test_curve_runs_from_left_to_right_with_the_highest_on_top():
    assert drawing.spark_points([0, 50, 100], top=100) == "0.0,24.0 50.0,12.0 100.0,0.0"


def test_curve_is_cut_at_the_top_and_flat_for_zeros():
    assert drawing.spark_points([150, 0], top=100).startswith("0.0,0.0")
    assert drawing.spark_points([0, 0]) == "0.0,24.0 100.0,24.0"


def test_curve_needs_two_values():
    assert drawing.spark_points([1]) == ""
    assert drawing.timed_points([(1, 1)], top=1) == ""


def test_timed_curve_is_as_wide_as_its_time():
    points = drawing.timed_points([(10, 0), (11, 5), (20, 20)], top=10)
    assert points == "0.0,24.0 10.0,12.0 100.0,0.0"


def test_timed_curve_of_one_moment_does_not_divide_by_zero():
    assert drawing.timed_points([(5, 0), (5, 0)], top=0) == "0.0,24.0 0.0,24.0"


@pytest.mark.parametrize(("priority", "lit"), [(1, 5), (3, 3), (5, 1)])
def test_urgent_priority_lights_more_marks(priority, lit):
    assert sum(is_lit for _, is_lit in drawing.priority_marks(priority)) == lit


def test_every_icon_is_a_shape():
    assert all(shape.startswith("<") for shape in drawing.icons().values())
    assert {"search", "close", "copy"} <= drawing.icons().keys()
