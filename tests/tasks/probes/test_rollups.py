"""Roll-ups: sums that add up at every level, percentiles within 2 %, each result once."""

from __future__ import annotations

import random
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tasks.probes.models import MaintenanceWindow
from tasks.probes.rollups import follower, retention, sketch
from tasks.probes.rollups.sums import DAY, HOUR, MINUTE, Run, Sums, add_up
from tasks.probes.series.models import ProbeResult, RollUp
from tasks.probes.services import states
from tasks.probes.summary import summarise
from tests.tasks.probes.conftest import bring, result

NOON = 1_750_000_000 // 86_400 * 86_400 + 43_200
durations = st.lists(st.integers(1, 10**9), min_size=1, max_size=200)


def buckets(values: list[int]) -> sketch.Sketch:
    """Return the sketch of durations."""
    found: sketch.Sketch = {}
    for value in values:
        sketch.merge(found, {sketch.bucket_of(value): 1})
    return found


@given(durations, st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_percentile_is_within_two_percent(values, share):
    rank = max(-(-len(values) * int(share * 100) // 100), 1)
    exact = sorted(values)[rank - 1]
    assert sketch.percentile(buckets(values), share) == pytest.approx(exact, rel=0.021, abs=1)


@given(durations, durations)
def test_sketches_add_up_exactly(one, other):
    merged = buckets(one)
    sketch.merge(merged, buckets(other))
    assert merged == buckets(one + other)
    assert sketch.load(sketch.dump(merged)) == merged


def test_empty_sketch_has_no_percentile():
    assert sketch.percentile({}, 0.5) is None


def test_levels_count_the_same_runs():
    outcomes = random.Random(7)
    runs = [
        Run(1, "a", (NOON + n * 17) * 1_000_000, outcomes.randrange(5), 1, n + 1)
        for n in range(999)
    ]
    sums = add_up(runs)
    for level in (MINUTE, HOUR, DAY):
        total = Sums()
        for key, one in sums.items():
            if key.level == level:
                total.add(one)
        counts = [total.up, total.degraded, total.down, total.error, total.missed]
        assert counts == [sum(run.outcome == code for run in runs) for code in range(5)]
        assert sum(total.buckets.values()) == total.answered


def test_availability_leaves_out_what_says_nothing_of_the_target():
    sums = Sums(up=6, degraded=2, down=2, error=5, missed=5, maintenance=9)
    assert (sums.availability, sums.coverage) == (0.8, 0.5)
    assert Sums(error=3).availability is None
    assert Sums().coverage is None


def test_every_result_is_added_once(agent, probe):
    bring(agent, *(result(probe) for _ in range(7)))
    follower.follow()
    bring(agent, *(result(probe, "down") for _ in range(3)))
    assert (follower.follow(), follower.follow()) == (3, 0)
    for level in (MINUTE, HOUR, DAY):
        rows = RollUp.objects.filter(level=level)
        assert (sum(row.up for row in rows), sum(row.down for row in rows)) == (7, 3)


def test_crash_of_the_follower_adds_nothing_twice(agent, probe, monkeypatch):
    bring(agent, *(result(probe) for _ in range(5)))

    def crash(_sums):
        raise RuntimeError("killed")

    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(follower, "write", crash)
        follower.follow()
    follower.follow()
    assert RollUp.objects.get(level=DAY).up == 5


def test_missed_span_counts_every_due_run(agent, probe):
    bring(agent, result(probe, "missed", count=12))
    follower.follow()
    assert RollUp.objects.get(level=DAY).missed == 12


def test_planned_work_is_counted_apart(agent, probe, tenant):
    now = timezone.now()
    MaintenanceWindow.objects.create(
        tenant=tenant,
        name="w",
        starts_at=now - timedelta(hours=1),
        ends_at=now + timedelta(hours=1),
    )
    bring(agent, result(probe, "down"))
    follower.follow()
    row = RollUp.objects.get(level=DAY)
    assert (row.down, row.maintenance) == (0, 1)


def test_summary_shows_shares_latencies_and_series(agent, probe):
    slow = [result(probe, duration_seconds=0.1) for _ in range(5)]
    fast = [result(probe, duration_seconds=0.01) for _ in range(94)]
    bring(agent, *slow, *fast, result(probe, "down", duration_seconds=5.0))
    follower.follow()
    found = summarise(probe, 3_600)
    assert (found["availability"], found["coverage"]) == (0.99, 1.0)
    assert found["p50_seconds"] == pytest.approx(0.01, rel=0.02)
    assert found["p99_seconds"] == pytest.approx(0.1, rel=0.02)
    assert (found["min_seconds"], found["max_seconds"]) == (0.01, 0.1)
    assert sum(span["up"] for span in found["series"]) == 99


def test_summary_of_one_host(agent, new_agent, probe):
    bring(agent, result(probe))
    bring(new_agent("other"), result(probe, "down"))
    follower.follow()
    assert summarise(probe, 3_600, agent_id=agent.pk)["availability"] == 1.0


def test_old_results_go_when_both_followers_have_seen_them(agent, probe, settings):
    bring(agent, *(result(probe, started_at=time.time() - 3 * 86_400) for _ in range(5)))
    bring(agent, result(probe))
    settings.RESULTS_KEPT_DAYS = 2
    follower.follow()
    retention.trim()
    assert ProbeResult.objects.count() == 6
    states.follow()
    retention.trim()
    assert ProbeResult.objects.count() == 1


def test_old_roll_ups_go_level_by_level(probe):
    day = 86_400
    for level, age in ((MINUTE, 8), (MINUTE, 1), (HOUR, 91), (HOUR, 8), (DAY, 91)):
        start = int(time.time()) - age * day
        RollUp.objects.create(level=level, probe_id=1, agent_id="a", start=start)
    retention.trim()
    assert sorted(RollUp.objects.values_list("level", flat=True)) == [MINUTE, HOUR, DAY]


def test_deletes_are_chunked(monkeypatch):
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 3)
    RollUp.objects.bulk_create(
        RollUp(level=MINUTE, probe_id=1, agent_id="a", start=n * 60) for n in range(8)
    )
    assert retention._trim_roll_ups(MINUTE, 10_000) == 3
    assert retention.trim() == 5
