"""How durations, sizes and ages are said."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone, translation

from dialer_platform.console import wording


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "—"),
        (0, "0 s"),
        (0.42, "0.4 s"),
        (2.0, "2 s"),
        (59.9, "59 s"),
        (60, "1 m 00 s"),
        (724, "12 m 04 s"),
        (4320, "1 h 12 m"),
        (86_400 * 41 + 3 * 3600, "41 d 03 h"),
        (-5, "0 s"),
    ],
)
def test_duration_says_the_two_largest_units(seconds, text):
    assert wording.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "—"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 kB"),
        (20 * 1024**3, "20 GB"),
        (19.6 * 1024**3, "19.6 GB"),
        (5 * 1024**6, "5120 PB"),
    ],
)
def test_size_has_three_digits_and_a_unit(count, text):
    assert wording.size(count) == text


def test_size_of_names_the_unit_once_when_it_is_the_same():
    assert wording.size_of(2 * 1024**3, 24 * 1024**3) == "2 / 24 GB"
    assert wording.size_of(512 * 1024**2, 24 * 1024**3) == "512 MB / 24 GB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "just now"), (5, "5 s ago"), (300, "5 m ago"), (-90, "in 1 m"), (7200, "2 h ago")],
)
def test_age_says_the_largest_unit(seconds, text):
    now = timezone.now()
    assert wording.age(now - timedelta(seconds=seconds), now) == text


def test_age_is_a_date_when_it_is_long_ago():
    now = timezone.now()
    assert str((now - timedelta(days=400)).year) in wording.age(now - timedelta(days=400), now)


def test_age_follows_the_language():
    now = timezone.now()
    with translation.override("zh-hans"):
        assert wording.age(now - timedelta(seconds=5), now) == "5 秒前"
