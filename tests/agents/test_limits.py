"""What the page says of a host that has lowered its limits."""

from __future__ import annotations

import pytest

from agents.limits import limits_text

HALF = {"adaptive_factor": 0.5, "slots_allowed": 4}


@pytest.mark.parametrize(
    ("resources", "text"),
    [
        (
            {**HALF, "adaptive_cause": "cpu"},
            "Its CPU is busy: × 0.5 of its limits until that falls. "
            "It takes 4 tasks at once instead of 8.",
        ),
        (
            {"adaptive_factor": 0.5, "slots_allowed": 8, "bandwidth_limit_mb": 2.5}
            | {"adaptive_cause": "load"},
            "Its load is high: × 0.5 of its limits until that falls. File transfers get 2.5 MB/s.",
        ),
        (
            HALF | {"adaptive_factor": 0.75, "adaptive_cause": "both"},
            "busy and its load high: × 0.75",
        ),
        ({"adaptive_factor": 0.5}, "Busy: × 0.5 of its limits until its load falls."),
    ],
)
def test_lowered_limits_say_how_far_and_why(resources, text):
    assert text in limits_text(resources, slots=8)


@pytest.mark.parametrize(
    "resources",
    [
        {},
        {"adaptive_factor": 1.0},
        {"adaptive_factor": "x"},
        {"adaptive_factor": None},
        {"adaptive_factor": -1},
    ],
)
def test_whole_limits_and_nonsense_say_nothing(resources):
    assert limits_text(resources, slots=8) == ""
