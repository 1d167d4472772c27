"""The whole agent against a server on a real socket, with real scripts."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent_client.app import App
from agent_client.config import AgentConfig, load_config
from agent_client.protocol.messages import Result
from agent_client.resource_util import ResourceUtil
from agent_client.state import Identity, StateDirectory
from tests.agent_client.fake_server import AGENT_ID, TOKEN, FakeServer, fake_server, spec

PATH = "/usr/local/bin:/usr/bin:/bin"


def config_for(server: FakeServer, state_dir: Path, **changes: object) -> AgentConfig:
    settings = {
        "connection.agent_server_url": server.url,
        "connection.ws_backoff_initial_ms": 20,
        "connection.ws_backoff_max_ms": 50,
        "state_dir": str(state_dir),
        **changes,
    }
    return load_config(settings, {"HOME": str(state_dir)}, state_dir)


@contextlib.asynccontextmanager
async def running_app(config: AgentConfig) -> AsyncIterator[App]:
    identity = Identity(instance_id="i", agent_id=AGENT_ID, agent_token=TOKEN)
    app = App(
        config,
        state=StateDirectory(config.state_dir),
        identity=identity,
        resources=ResourceUtil(state_dir=config.state_dir),
        login_environment={"PATH": PATH},
    )
    await app.start()
    try:
        yield app
    finally:
        await app.stop()


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with fake_server() as found:
        yield found


@pytest.fixture(params=["websocket", "polling"])
async def app(server, tmp_path, request) -> AsyncIterator[App]:
    config = config_for(server, tmp_path, **{"connection.transport": request.param})
    async with running_app(config) as found:
        await found.link.wait_ready()
        yield found


async def ended(server: FakeServer, task_id: int = 1) -> Result:
    await server.until(lambda: task_id in server.brain.results)
    return server.brain.results[task_id]


async def test_task_completes_with_log_when_offered(app, server):
    await server.offer(spec(1, "echo hello; exit 3"))
    result = await ended(server)
    assert (result.reason, result.exit_code, result.log_bytes) == ("exit", 3, 6)
    assert server.brain.logs[1] == b"hello\n"
    states = [kind for kind in server.brain.kinds() if kind != "Hello"]
    assert states == ["Accepted", "Started", "Result"]


async def test_directory_is_deleted_when_server_forgets(app, server, tmp_path):
    await server.offer(spec(1, "echo hello"))
    await ended(server)
    await server.until(lambda: not app.runs.holds())
    assert app.ledger.slots_booked == 0
