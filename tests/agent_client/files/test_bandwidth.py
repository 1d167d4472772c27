"""The token bucket, and a transfer's share of its host's limit."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.files.bandwidth import BURST_SECONDS, MB, Pace, TokenBucket
from agent_client.sub_agent import records


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(
    rate=st.floats(1_000, 1e9),
    sizes=st.lists(st.integers(1, 4 * 1024 * 1024), min_size=1, max_size=60),
    pauses=st.lists(st.floats(0, 3), min_size=60, max_size=60),
)
def test_bucket_never_lets_more_through_than_its_rate(rate, sizes, pauses):
    bucket, now, began = TokenBucket(rate, now=0.0), 0.0, 0.0
    moved = 0
    for size, pause in zip(sizes, pauses, strict=False):
        now += bucket.take(size, now=now)
        moved += size
        assert moved <= rate * (now - began + BURST_SECONDS) * 1.000001 + 1
        now += pause


def test_bucket_without_a_rate_never_waits():
    bucket = TokenBucket(None, now=0.0)
    assert bucket.take(10**12, now=0.0) == 0.0


def limits_file(tmp_path: Path, **record: object) -> int:
    path = tmp_path / "limits.json"
    path.write_text(json.dumps(record).ljust(256))
    return os.open(path, os.O_RDWR)


def rate_over(pace: Pace, clock: Clock, seconds: float) -> float:
    """Return the MB/s that a transfer makes in so many seconds."""
    began, moved = clock.now, 0
    while clock.now - began < seconds:
        size = pace.chunk_bytes or 4 * 1024 * 1024
        pace.wait(size)
        moved += size
    return moved / MB / (clock.now - began)


@pytest.mark.parametrize(
    ("own_mb", "record", "expected"),
    [
        (10.0, {"bandwidth_mb": None}, 10.0),
        (0.0, {"bandwidth_mb": 4.0, "transfers": 1}, 4.0),
        (0.0, {"bandwidth_mb": 12.0, "transfers": 3}, 4.0),
        (1.0, {"bandwidth_mb": 12.0, "transfers": 3}, 1.0),
        (50.0, {"bandwidth_mb": 12.0}, 12.0),
        (-1.0, {"bandwidth_mb": 4.0}, 4.0),
    ],
)
def test_the_lower_limit_is_held_within_a_tenth(tmp_path, own_mb, record, expected):
    clock = Clock()
    descriptor = limits_file(tmp_path, **record)
    pace = Pace(own_mb, limits=descriptor, clock=clock, sleep=clock.sleep)
    assert rate_over(pace, clock, 30) == pytest.approx(expected, rel=0.1)
    os.close(descriptor)


def test_changed_limit_holds_for_a_transfer_that_runs(tmp_path):
    clock = Clock()
    descriptor = limits_file(tmp_path, bandwidth_mb=10.0)
    pace = Pace(0.0, limits=descriptor, clock=clock, sleep=clock.sleep)
    rate_over(pace, clock, 5)
    os.pwrite(descriptor, json.dumps({"bandwidth_mb": 2.0}).ljust(256).encode(), 0)
    rate_over(pace, clock, 2)
    assert rate_over(pace, clock, 10) == pytest.approx(2.0, rel=0.1)
    os.close(descriptor)


def test_own_limit_is_changed_while_it_runs_and_what_is_no_limit_changes_nothing(tmp_path):
    clock = Clock()
    records.write_bandwidth(str(tmp_path), 10.0)
    descriptor = os.open(tmp_path / records.BANDWIDTH, os.O_RDONLY)
    pace = Pace(99.0, limits=None, own_limit=descriptor, clock=clock, sleep=clock.sleep)
    assert rate_over(pace, clock, 10) == pytest.approx(10.0, rel=0.1)
    records.write_bandwidth(str(tmp_path), 2.5)
    rate_over(pace, clock, 2)
    assert rate_over(pace, clock, 10) == pytest.approx(2.5, rel=0.1)
    records.write_bandwidth(str(tmp_path), -1)
    rate_over(pace, clock, 2)
    assert rate_over(pace, clock, 10) == pytest.approx(2.5, rel=0.1)
    records.write_bandwidth(str(tmp_path), 0)
    clock.now += 2
    pace.wait(1)
    assert pace.chunk_bytes is None
    os.close(descriptor)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'{"bandwidth_mb": "x"}'])
def test_unreadable_limits_leave_the_known_ones(tmp_path, text):
    clock = Clock()
    descriptor = limits_file(tmp_path, bandwidth_mb=3.0)
    pace = Pace(0.0, limits=descriptor, clock=clock, sleep=clock.sleep)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text, 0)
    assert rate_over(pace, clock, 10) == pytest.approx(3.0, rel=0.1)
    os.close(descriptor)


def test_without_any_limit_nothing_waits():
    clock = Clock()
    pace = Pace(0.0, limits=None, clock=clock, sleep=clock.sleep)
    pace.wait(10**9)
    assert (clock.now, pace.chunk_bytes) == (100.0, None)
