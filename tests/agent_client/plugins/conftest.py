"""A server for the agents of these tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.agent_client.fake_server import FakeServer, fake_server


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    """Return a server on a real socket."""
    async with fake_server() as found:
        yield found
