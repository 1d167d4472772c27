"""Installations for the end-to-end tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running_stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One server and one agent `host1` for all tests of a module."""
    with running_stack(tmp_path_factory.mktemp("stack")) as installation:
        installation.start_agent()
        yield installation


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    """A server of the test's own, to be killed."""
    with running_stack(tmp_path) as installation:
        yield installation
