"""Tests that share an installation stay on one worker."""

from __future__ import annotations

import pytest

GROUP = "rules of groups"
pytestmark = pytest.mark.xdist_group(GROUP)


def test_runner_knows_the_group_of_a_test(request: pytest.FixtureRequest) -> None:
    """Versions of pytest and pytest-xdist that do not fit each other scatter it, silently."""
    if request.config.getoption("loadgroup", False):
        assert request.node.nodeid.endswith(f"@{GROUP}")
