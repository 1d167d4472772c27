"""When planned work covers a probe."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tasks.probes.models import MaintenanceWindow
from tasks.probes.windows import Window, read_cover

HOUR, DAY = 3_600.0, 86_400.0
MONDAY = datetime(2026, 11, 16, 22, tzinfo=UTC).timestamp()


def covers(window: Window, *days_and_hours: tuple[float, float]) -> list[bool]:
    """Return whether moments after the window's first beginning are covered."""
    return [window.covers(MONDAY + day * DAY + hour * HOUR) for day, hour in days_and_hours]


def test_window_that_comes_once():
    once = Window(MONDAY, MONDAY + 2 * HOUR)
    assert covers(once, (0, -0.1), (0, 0), (0, 1.9), (0, 2), (1, 1)) == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_daily_window_reaches_over_midnight():
    daily = Window(MONDAY, MONDAY + 4 * HOUR, "daily")
    assert covers(daily, (0, 3.9), (0, 4), (5, 3.9), (5, 4.1)) == [True, False, True, False]


def test_weekly_window_comes_on_its_weekday_only():
    weekly = Window(MONDAY, MONDAY + HOUR, "weekly")
    assert covers(weekly, (0, 0.5), (1, 0.5), (7, 0.5), (8, 0.5)) == [True, False, True, False]


def test_weekly_window_on_named_days():
    weekly = Window(MONDAY, MONDAY + HOUR, "weekly", frozenset({2, 4}))
    found = covers(weekly, *((day, 0.5) for day in range(7)))
    assert found == [False, False, True, False, True, False, False]


def test_window_longer_than_a_day_covers_the_following_one():
    weekly = Window(MONDAY, MONDAY + 30 * HOUR, "weekly")
    assert covers(weekly, (1, 5), (1, 7), (8, 5)) == [True, False, True]


def test_recurrence_ends():
    ended = Window(MONDAY, MONDAY + HOUR, "daily", until=MONDAY + 2 * DAY)
    assert covers(ended, (1, 0.5), (2, 0.5)) == [True, False]


@pytest.mark.parametrize(
    ("names", "tags", "covered"),
    [([], [], {"a", "b"}), (["a"], [], {"a"}), ([], ["db"], {"b"}), (["a"], ["db"], {"a", "b"})],
)
def test_window_covers_named_and_tagged_probes(new_probe, tenant, names, tags, covered):
    probes = {"a": new_probe(), "b": new_probe(tags=["db"])}
    start, end = (datetime.fromtimestamp(MONDAY + hours * HOUR, UTC) for hours in (0, 1))
    window = MaintenanceWindow.objects.create(
        tenant=tenant, name="w", starts_at=start, ends_at=end, tags=tags
    )
    window.probes.set([probes[name] for name in names])
    cover = read_cover()
    assert {name for name in probes if cover.covers(probes[name].pk, MONDAY + 60)} == covered


def test_window_of_another_tenant_covers_nothing(probe, other_tenant):
    start, end = (datetime.fromtimestamp(MONDAY + hours * HOUR, UTC) for hours in (0, 1))
    MaintenanceWindow.objects.create(tenant=other_tenant, name="w", starts_at=start, ends_at=end)
    assert not read_cover().covers(probe.pk, MONDAY + 60)
