"""The pace at which hosts come back: nobody waits without a crowd, and a crowd is spaced."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.admission import Admission


def test_nobody_waits_without_a_crowd():
    door = Admission(per_second=10)
    assert [door.arrive(now) for now in (0.0, 0.1, 0.5)] == [0, 0, 0]


def test_crowd_is_spaced_evenly():
    door = Admission(per_second=10)
    assert [door.arrive(0.0) for _ in range(4)] == pytest.approx([0, 0.1, 0.2, 0.3])


def test_line_has_a_longest_wait_and_counts_whom_it_turns_away():
    door = Admission(per_second=10, longest_wait_seconds=0.15)
    assert [door.arrive(0.0) for _ in range(4)][2:] == [None, None]
    assert door.turned_away == 2
    assert door.arrive(1.0) == 0


@given(st.lists(st.floats(0, 0.5), max_size=200))
def test_no_second_sees_more_than_its_share(pauses):
    door, now, starts = Admission(per_second=20, longest_wait_seconds=2), 0.0, []
    for pause in pauses:
        now += pause
        wait = door.arrive(now)
        if wait is not None:
            assert 0 <= wait <= 2
            starts.append(now + wait)
    assert all(later - earlier >= 0.05 - 1e-9 for earlier, later in pairwise(starts))
