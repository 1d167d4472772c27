"""How large and how slow a request may be, by path."""

from __future__ import annotations

import pytest

from dialer_platform.serving import limits


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        (b"/accounts/login/", 64 * 1024),
        (b"/api/v1/agents/register/", 256 * 1024),
        (b"/api/v1/tasks/batch/", 12 * limits.MIB),
        (b"/api/v1/tokens/", limits.MIB),
        (b"/", limits.MIB),
        (b"", limits.MIB),
    ],
)
def test_limit_follows_the_path(path, limit):
    assert limits.body_limit(path) == limit


def test_no_limit_exceeds_the_largest():
    assert max(limit for _, limit in limits.BODY_BYTES_BY_PREFIX) == limits.LARGEST_BODY_BYTES


def test_large_body_gets_more_time_than_a_small_one():
    small, large = limits.body_seconds(10, 100), limits.body_seconds(limits.MIB, limits.MIB)
    assert limits.BODY_SECONDS < small < large


def test_body_of_unknown_length_gets_the_time_of_its_limit():
    assert limits.body_seconds(None, limits.MIB) == limits.body_seconds(limits.MIB, limits.MIB)
