"""Which numbers were seen: against a plain set, and bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tasks.probes.ingest import ranges
from tasks.probes.ingest.ranges import Ranges


@given(st.lists(st.integers(0, 60), max_size=120))
def test_numbers_are_new_once_whatever_their_order(numbers):
    seen, model = Ranges(), set()
    for number in numbers:
        assert seen.add(number) == (number not in model)
        model.add(number)
    assert {number for number in range(61) if number in seen} == model


@given(st.lists(st.integers(0, 60), max_size=80))
def test_ranges_survive_being_stored(numbers):
    seen = Ranges()
    for number in numbers:
        seen.add(number)
    again = Ranges.load(seen.dump())
    assert not any(again.add(number) for number in numbers)


def test_stream_in_order_is_one_range():
    seen = Ranges()
    for number in range(1, 10_000):
        seen.add(number)
    assert seen.dump() == "[[1,9999]]"


def test_oldest_gap_is_forgotten_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(ranges, "MAX_RANGES", 3)
    seen = Ranges()
    for number in (1, 10, 20, 30):
        seen.add(number)
    assert seen.dump() == "[[1,10],[20,20],[30,30]]"
    assert 5 in seen
