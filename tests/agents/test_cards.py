"""The card of a host: pure arithmetic over whatever the host says."""

from __future__ import annotations

import pytest

from agents import cards

GPU = {"index": 1, "name": "A100", "utilization": 64, "memory_used": 20_480, "memory_total": 24_576}


def test_foreign_memory_stands_apart_from_owned():
    row = cards.gpu_row(GPU | {"foreign": [{"memory_mb": 5_120}], "tasks": [7]})
    assert row.parts == ((15_360, "accent"), (5_120, "waiting"))
    assert row.text == "64 % · 20 / 24 GB"


def test_foreign_memory_never_exceeds_what_is_used():
    row = cards.gpu_row(GPU | {"foreign": [{"memory_mb": 99_999}]})
    assert row.parts[0][0] == 0


@pytest.mark.parametrize(
    ("facts", "busy"),
    [({}, False), ({"utilization": 4}, False), ({"utilization": 40}, True), ({"tasks": [1]}, True)],
)
def test_gpu_is_busy_when_anything_uses_it(facts, busy):
    assert cards.is_busy(facts) is busy


@pytest.mark.parametrize("system", [{}, {"mounts": "x"}, {"mounts": [1, None]}])
def test_mounts_that_are_nonsense_are_left_out(system):
    assert cards.mounts(system) == []


def test_usage_warns_near_the_limit():
    assert cards.usage_meter("Memory", 94.0).parts == ((94.0, "waiting"),)
    assert cards.usage_meter("Memory", 10.0, "1 / 2 GB").text == "1 / 2 GB · 10 %"
